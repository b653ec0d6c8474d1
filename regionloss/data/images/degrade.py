"""Copies of an image that have lost what tokenizers lose: fewer pixels, a hard JPEG, blur."""

from __future__ import annotations

import io
import math
from collections.abc import Callable

from PIL import Image, ImageFilter

from regionloss.errors import InputError, did_you_mean, expected

#: About what a narrow bottleneck gives back: a third of the pixels a side, and a hard JPEG of those.
DEFAULT = "shrink=3,jpeg=30"


def shrink(image: Image.Image, factor: float) -> Image.Image:
    """Return an image with a `factor` of the pixels a side, bicubic."""
    size = (max(1, int(image.width / factor)), max(1, int(image.height / factor)))
    return image.resize(size, Image.Resampling.BICUBIC)


def jpeg(image: Image.Image, quality: float) -> Image.Image:
    """Return an image as a JPEG of this quality keeps it."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=round(quality))
    return Image.open(file).convert("RGB")


def blur(image: Image.Image, radius: float) -> Image.Image:
    """Return an image under a Gaussian of this radius, pixels."""
    return image.filter(ImageFilter.GaussianBlur(radius))


STEPS: dict[str, tuple[Callable[[Image.Image, float], Image.Image], float, float]] = {
    "shrink": (shrink, 1, 64),
    "jpeg": (jpeg, 1, 95),
    "blur": (blur, 0, 100),
}


def degraded(image: Image.Image, steps: str = DEFAULT) -> Image.Image:
    """Return a degraded copy of an RGB image, of its size.

    Args:
        image: An RGB image.
        steps: `shrink=FACTOR`, `jpeg=QUALITY` and `blur=RADIUS` with commas between, done in this order; at the end the
            copy is brought back to the image's size, bicubic.

    Raises:
        InputError: Something else.

    Example:
        >>> degraded(Image.new("RGB", (30, 20)), "shrink=4").size
        (30, 20)
    """
    copy = image
    for name, value in parsed(steps):
        copy = STEPS[name][0](copy, value)
    return copy if copy.size == image.size else copy.resize(image.size, Image.Resampling.BICUBIC)


def parsed(steps: str) -> list[tuple[str, float]]:
    """Return the steps of a degradation; arguments and errors as for `degraded`."""
    found = []
    for text in steps.split(","):
        name, _, value = text.strip().partition("=")
        if name not in STEPS:
            got = f"'{text.strip()}'"
            raise InputError(expected("--degrade", f"steps such as {DEFAULT}", got, did_you_mean(name, STEPS)))
        _, low, high = STEPS[name]
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not low <= number <= high:
            raise InputError(expected(f"--degrade: {name}", f"a number from {low:g} to {high:g}", f"'{value}'"))
        found.append((name, number))
    return found
