"""Image files of every kind that Pillow writes, whole and damaged; read by `read_image` and by a decoding process."""

from __future__ import annotations

import io
import random
from pathlib import Path

import numpy as np
from PIL import Image

from regionloss.data.annotate.decode import Unreadable, decode
from regionloss.data.images.files import ImageError, read_image
from tests.fuzz.damage import bytes_of
from tests.fuzz.judging import Fault

#: Format and mode.
KINDS = (
    ("png", "RGB"), ("png", "L"), ("png", "RGBA"), ("png", "P"), ("png", "1"), ("png", "LA"), ("png", "I;16"),
    ("jpeg", "RGB"), ("jpeg", "L"), ("jpeg", "CMYK"), ("gif", "P"), ("bmp", "RGB"), ("webp", "RGB"), ("webp", "RGBA"),
    ("tiff", "RGB"), ("tiff", "L"), ("tiff", "F"), ("tiff", "I;16"), ("tiff", "CMYK"),
)  # fmt: skip


def picture(mode: str, size: tuple[int, int], shade: int = 200) -> Image.Image:
    """Return a picture that is darker above than below."""
    grey = np.full((size[1], size[0]), shade, dtype=np.uint8)
    grey[: size[1] // 2] //= 4
    if mode == "I;16":
        return Image.fromarray(grey.astype(np.uint16) * 257)
    if mode == "F":
        return Image.fromarray(grey.astype(np.float32) / 255)
    return Image.fromarray(grey).convert(mode)


def encoded(image: Image.Image, kind: str, orientation: int = 1) -> bytes:
    """Return the contents of an image file."""
    contents, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = orientation
    more = {"exif": exif} if kind in ("jpeg", "png", "webp") else {}
    image.save(contents, kind, **more)
    return contents.getvalue()


def fuzz(rng: random.Random, folder: Path) -> None:
    """Read an image both ways: both read it, to one size, or both name it."""
    kind, mode = rng.choice(KINDS)
    size = (rng.choice((1, 2, 7, 33, 90)), rng.choice((2, 5, 31, 64)))
    turn = rng.choice((1, 1, 1, 3, 6, 8, 0, 9))
    contents = whole = encoded(picture(mode, size), kind, turn)
    if rng.random() < 0.75:
        contents = bytes_of(rng, whole)
    path = folder / f"a.{kind}"
    path.write_bytes(contents)
    found = decode("a", contents, 1600)
    try:
        image = read_image(path)
    except ImageError as error:
        if not isinstance(found, Unreadable):
            raise Fault(f"{kind} {mode}: read while annotating, refused otherwise: {error}") from error
        if contents == whole:
            raise Fault(f"{kind} {mode} {size}: a whole image is refused: {error}") from error
        raise
    if isinstance(found, Unreadable):
        raise Fault(f"{kind} {mode}: refused while annotating, read otherwise: {found.sentence}")
    if image.size != found.size or image.mode != "RGB":
        raise Fault(f"{kind} {mode}: {image.size} {image.mode} otherwise, {found.size} while annotating")
    if contents == whole:
        values = np.asarray(image).astype(int)
        if np.ptp(values) < 100 or sorted(image.size) != sorted(size):
            raise Fault(f"{kind} {mode}: of {size} and values over 150 became {image.size}, {np.ptp(values)}")
        halves = [float(values[0].mean()), float(values[-1].mean())]
        if mode != "1" and turn in (1, 0, 9) and not np.allclose(halves, (50, 200), atol=12):
            raise Fault(f"{kind} {mode} {size}: 50 above and 200 below became {halves}")
