"""A picture of a step: targets, reconstructions, and what the region terms look at."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from regionloss.pictures.boxes import COLOURS
from regionloss.regions import Regions

CELL = 256  # least long side of an image on the page, pixels
GAP = 6
HEADING = 24
MARGIN = 0.1  # around an enlarged region, of its longer side
PAPER, INK = "#1c1c1e", "#f2f2f7"


@dataclass(frozen=True)
class Found:
    """A region on the host: its image, its box in image pixels, its area there, its known keypoints and corners."""

    image: int
    box: tuple[float, float, float, float]
    area: float
    points: tuple[tuple[float, float], ...] = ()
    corners: tuple[tuple[float, float], ...] = ()


def sample_grid(target: Tensor, reconstruction: Tensor, regions: Mapping[str, Regions], most: int = 8) -> Image.Image:
    """Return a row an image: target, reconstruction, regions outlined, the largest region of each kind enlarged.

    Args:
        target: (B, 3, H, W) in [-1, 1], of any dtype and device.
        reconstruction: The same shape; clamped here, and grey where it is not finite.
        regions: Regions of the batch by kind, a colour each; those that are masked are left out.
        most: Largest number of rows.
    """
    rows = min(most, len(target))
    stacked = torch.stack([target[:rows], reconstruction[:rows].to(target.dtype)]).detach().float()
    stacked = stacked.nan_to_num(0.0).clamp(-1, 1)
    pixels = ((stacked + 1) * 127.5).round().byte().permute(0, 1, 3, 4, 2).cpu().numpy()
    factor = max(1, math.ceil(CELL / max(target.shape[2:])))
    targets, reconstructions = ([enlarged(image, factor) for image in column] for column in pixels)
    outlined = [image.copy() for image in targets]
    columns = [("target", INK, targets), ("reconstruction", INK, reconstructions), ("regions", INK, outlined)]
    for kind, colour in zip(sorted(regions), COLOURS * len(regions), strict=False):
        found = [one for one in on_host(regions[kind]) if one.image < rows]
        for one in found:
            outline(outlined[one.image], one, factor, colour)
        if found:
            columns.append((f"{kind}, enlarged", colour, closeups(pixels, found, targets[0].size)))
    return page(columns)


def on_host(regions: Regions) -> list[Found]:
    """Return the valid regions."""
    valid = [True] * len(regions) if regions.valid is None else regions.valid.tolist()
    points = [()] * len(regions) if regions.keypoints is None else regions.keypoints.float().tolist()
    quads = [()] * len(regions) if regions.quads is None else regions.quads.float().tolist()
    places = zip(regions.image_index.tolist(), regions.boxes.float().tolist(), regions.areas.tolist(), strict=True)
    rows = zip(places, points, quads, valid, strict=True)
    return [
        Found(image, tuple(box), area, finite(known), finite(corners))
        for (image, box, area), known, corners, counts in rows
        if counts
    ]


def finite(points: Sequence[Sequence[float]]) -> tuple[tuple[float, float], ...]:
    """Return the points that are known."""
    return tuple((x, y) for x, y in points if math.isfinite(x) and math.isfinite(y))


def enlarged(pixels: np.ndarray, factor: int) -> Image.Image:
    """Return an image (H, W, 3) uint8 with each pixel as a square of `factor` pixels."""
    image = Image.fromarray(pixels)
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def outline(picture: Image.Image, region: Found, factor: int, colour: str) -> None:
    """Draw a box or its quadrilateral, and its keypoints, on a dark rim so that they show on any picture."""
    draw = ImageDraw.Draw(picture)
    width = max(2, round(max(picture.size) / 200))
    if region.corners:
        # PIL counts from the middle of the first pixel.
        line = [(x * factor - 0.5, y * factor - 0.5) for x, y in (*region.corners, *region.corners[:2])]
        draw.line(line, fill="black", width=width + 2, joint="curve")
        draw.line(line, fill=colour, width=width, joint="curve")
    else:
        x1, y1, x2, y2 = (round(v * factor) for v in region.box)
        x2, y2 = max(x1, x2 - 1), max(y1, y2 - 1)
        draw.rectangle((x1 - 1, y1 - 1, x2 + 1, y2 + 1), outline="black", width=1)
        draw.rectangle((x1, y1, x2, y2), outline=colour, width=width)
    for x, y in region.points:
        x, y = x * factor, y * factor
        draw.ellipse((x - 3, y - 3, x + 2, y + 2), fill=colour, outline="black")


def closeups(pixels: np.ndarray, found: Sequence[Found], size: tuple[int, int]) -> list[Image.Image]:
    """Return a cell an image: its largest region in the target, and below it in the reconstruction.

    Args:
        pixels: (2, N, H, W, 3) uint8.
        found: Regions of one kind.
        size: Width and height of a cell, in pixels.
    """
    largest: dict[int, Found] = {}
    for one in sorted(found, key=lambda one: one.area):
        largest[one.image] = one
    cells = [Image.new("RGB", size, PAPER) for _ in pixels[0]]
    height = (size[1] - GAP) // 2
    for number, one in largest.items():
        for half, images in enumerate(pixels):
            cut = Image.fromarray(window(images[number], one.box))
            zoom = min(size[0] / cut.width, height / cut.height)
            shape = (max(1, int(cut.width * zoom)), max(1, int(cut.height * zoom)))
            # The two stand against the line between them, so that they are easily compared.
            top = height - shape[1] if half == 0 else size[1] - height
            cells[number].paste(cut.resize(shape, Image.Resampling.BICUBIC), ((size[0] - shape[0]) // 2, top))
    return cells


def window(pixels: np.ndarray, box: Sequence[float]) -> np.ndarray:
    """Return a box of an image (H, W, 3) with a margin, clipped to the image; one pixel at least."""
    height, width = pixels.shape[:2]
    margin = MARGIN * max(box[2] - box[0], box[3] - box[1])
    left, top = (max(0, math.floor(v - margin)) for v in box[:2])
    right, bottom = min(width, math.ceil(box[2] + margin)), min(height, math.ceil(box[3] + margin))
    left, top = min(left, width - 1), min(top, height - 1)
    return pixels[top : max(bottom, top + 1), left : max(right, left + 1)]


def page(columns: Sequence[tuple[str, str, Sequence[Image.Image]]]) -> Image.Image:
    """Return columns of images of one size side by side, each under its heading: text, colour, images."""
    width, height = columns[0][2][0].size
    rows = len(columns[0][2])
    sheet = Image.new("RGB", (len(columns) * (width + GAP) + GAP, HEADING + rows * (height + GAP)), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=14)
    for x, (heading, colour, images) in enumerate(columns):
        left = GAP + x * (width + GAP)
        draw.text((left + 1, 4), heading, fill=colour, font=font)
        for y, image in enumerate(images):
            sheet.paste(image, (left, HEADING + y * (height + GAP)))
    return sheet
