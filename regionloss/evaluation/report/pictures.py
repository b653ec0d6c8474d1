"""Pictures of a report: cut out, enlarged by whole pixels, inlined."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from PIL import Image
from torch import Tensor

from regionloss.data.images.files import to_image
from regionloss.evaluation.metrics import exact
from regionloss.evaluation.report.data import Judged, ReportData
from regionloss.evaluation.report.scores import truths

WORD_HEIGHT = 66
WORD_WIDTH = 194
MARGIN = 2
IMAGE_SIDE = 128
STRIP_WIDTH = 900


@dataclass(frozen=True)
class Picture:
    """An inlined picture with the line under it; `good` says whether the line is as it should be."""

    source: str
    width: int
    height: int
    label: str
    caption: str = ""
    good: bool | None = None


@dataclass(frozen=True)
class Strip:
    """The same region in each row of the report."""

    truth: str
    pictures: tuple[Picture, ...]


def word_strips(data: ReportData, set_name: str, count: int) -> list[Strip]:
    """Return the first `count` words of a test set as every row shows them, and what the judge read."""
    batch = data.test.get(set_name)
    if batch is None or "text" not in batch.regions:
        return []
    regions, strips = batch.regions["text"], []
    for i, truth in islice(truths(data, set_name).items(), count):
        image, box = int(regions.image_index[i]), regions.boxes[i].tolist()
        pictures = tuple(word_picture(row, set_name, i, image, box, truth) for row in data.rows)
        strips.append(Strip(truth, pictures))
    return strips


def word_picture(row: Judged, set_name: str, region: int, image: int, box: Sequence[float], truth: str) -> Picture:
    """Return a word in one row, with the judge's reading."""
    cut = window(row.images[set_name][image], box)
    zoom = max(1, min(4, WORD_HEIGHT // cut.height, WORD_WIDTH // cut.width))
    if set_name not in row.readings:
        return picture(cut, row.name, zoom)
    read = row.readings[set_name][region].text
    return picture(cut, row.name, zoom, read or "nothing", bool(exact(read, truth)))


def face_strips(data: ReportData, set_name: str, count: int) -> list[Strip]:
    """Return the first images of a test set as every row shows them, with the likeness where a judge gave it."""
    batch = data.test.get(set_name)
    if batch is None:
        return []
    owners = batch.regions["face"].image_index.tolist() if "face" in batch.regions else []
    strips = []
    for image in range(min(count, len(batch.images), fitting(batch.images))):
        face = owners.index(image) if image in owners else None
        strips.append(Strip("", tuple(face_picture(data, row, set_name, image, face) for row in data.rows)))
    return strips


def face_picture(data: ReportData, row: Judged, set_name: str, image: int, face: int | None) -> Picture:
    """Return an image in one row, with its face's likeness to the original."""
    whole = to_image(row.images[set_name][image])
    zoom = image_zoom(whole.height)
    if face is None or set_name not in row.embeddings or row is data.original:
        return picture(whole, row.name, zoom)
    likeness = float(row.embeddings[set_name][face] @ data.original.embeddings[set_name][face])
    return picture(whole, row.name, zoom, f"{likeness:.2f}")


def image_strips(data: ReportData, set_name: str, count: int) -> list[Strip]:
    """Return the first whole images of a test set as every row shows them."""
    if set_name not in data.test:
        return []
    batch = data.test[set_name]
    shown = range(min(count, len(batch.images), fitting(batch.images)))
    images = [[to_image(row.images[set_name][i]) for row in data.rows] for i in shown]
    names = [row.name for row in data.rows]
    return [
        Strip("", tuple(picture(im, n, image_zoom(im.height)) for im, n in zip(column, names, strict=True)))
        for column in images
    ]


def image_zoom(height: int) -> int:
    """Return by how much whole images are enlarged, to be 128 pixels high at least."""
    return -(-IMAGE_SIDE // height)


def fitting(images: Tensor) -> int:
    """Return how many whole images stand side by side on the page, three at least."""
    return max(3, STRIP_WIDTH // (images.shape[3] * image_zoom(images.shape[2])))


def window(image: Tensor, box: Sequence[float]) -> Image.Image:
    """Return a box of an image (3, H, W) with a margin, clipped to the image."""
    height, width = image.shape[1:]
    left, top = (max(0, math.floor(v) - MARGIN) for v in box[:2])
    right, bottom = min(width, math.ceil(box[2]) + MARGIN), min(height, math.ceil(box[3]) + MARGIN)
    return to_image(image[:, top:bottom, left:right])


def picture(image: Image.Image, label: str, zoom: int, caption: str = "", good: bool | None = None) -> Picture:
    """Return a picture to be shown enlarged by a whole number, its pixels as they are."""
    return Picture(inline(image), image.width * zoom, image.height * zoom, label, caption, good)


def inline(image: Image.Image) -> str:
    """Return an image as the address that holds it (PNG, lossless)."""
    stream = io.BytesIO()
    image.save(stream, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
