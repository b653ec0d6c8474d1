"""Images of any size on a canvas of one size, and back."""

from __future__ import annotations

import math
from typing import NamedTuple

from PIL import Image

LANCZOS = Image.Resampling.LANCZOS


class Fitted(NamedTuple):
    """An image on a canvas: where it lies (left, top, right, bottom), and its size before."""

    canvas: Image.Image
    box: tuple[int, int, int, int]
    original_size: tuple[int, int]


def fit(image: Image.Image, size: tuple[int, int]) -> Fitted:
    """Return an image resized (up or down, Lanczos) to fill a black canvas as far as its shape allows, centred.

    Args:
        image: An RGB image.
        size: Width and height of the canvas, pixels.

    Source: demo of the published InsightTok code, but for targets such as 384, where rounding there makes some
        images one column wider than the canvas.
    """
    ratio = min(size[0] / image.width, size[1] / image.height)
    width, height = (min(side, math.ceil(old * ratio)) for side, old in zip(size, image.size, strict=True))
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    canvas = Image.new("RGB", size)
    canvas.paste(image.resize((width, height), LANCZOS), (left, top))
    return Fitted(canvas, (left, top, left + width, top + height), image.size)


def restore(canvas: Image.Image, fitted: Fitted) -> Image.Image:
    """Return what lies on a canvas where `fit` put the image, at the image's own size."""
    return canvas.crop(fitted.box).resize(fitted.original_size, LANCZOS)
