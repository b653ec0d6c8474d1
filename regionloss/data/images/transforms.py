"""Crops, sizes, padding and mirror images of a picture and its regions together."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence

from PIL import Image, ImageEnhance

from regionloss.regions import geometry
from regionloss.regions.regions import Regions

Window = tuple[int, int, int, int]
FlipPairs = Mapping[str, Sequence[tuple[int, int]]]


def cropped(
    image: Image.Image,
    regions: Mapping[str, Regions],
    window: Window,
    size: tuple[int, int],
    box: tuple[float, float, float, float] | None = None,
) -> tuple[Image.Image, dict[str, Regions]]:
    """Return a window of an image at another size (anti-aliased), with the regions that it shows.

    Args:
        image: An RGB image.
        regions: Regions of the image by kind.
        window: `(top, left, height, width)` in pixels, inside the image.
        size: `(H, W)` of the result, pixels.
        box: Where the window lies in `image` (`x1, y1, x2, y2`, pixels), where that is a smaller copy.

    Returns:
        The picture, and regions whose boxes may reach outside it: collation clips or drops and counts them.
    """
    top, left, height, width = window
    box = box or (left, top, left + width, top + height)
    smaller = image.resize((size[1], size[0]), Image.Resampling.BICUBIC, box=box, reducing_gap=3.0)
    return smaller, {kind: geometry.resize(geometry.crop(found, window), size) for kind, found in regions.items()}


def resized(image: Image.Image, regions: Mapping[str, Regions], shorter: int) -> tuple[Image.Image, dict[str, Regions]]:
    """Return an image whose shorter side has so many pixels, with its regions."""
    ratio = shorter / min(image.size)
    size = max(1, round(image.height * ratio)), max(1, round(image.width * ratio))
    return cropped(image, regions, (0, 0, image.height, image.width), size)


def padded(
    image: Image.Image, regions: Mapping[str, Regions], fill: tuple[int, int, int] = (128, 128, 128)
) -> tuple[Image.Image, dict[str, Regions]]:
    """Return an image laid in the middle of a square as large as its longer side, with its regions."""
    side = max(image.size)
    left, top = (side - image.width) // 2, (side - image.height) // 2
    square = Image.new("RGB", (side, side), fill)
    square.paste(image, (left, top))
    # A window that begins before the image: what stands beside it is padding.
    return square, {kind: geometry.crop(r, (-top, -left, side, side)) for kind, r in regions.items()}


def mirrored(
    image: Image.Image, regions: Mapping[str, Regions], flip_pairs: FlipPairs
) -> tuple[Image.Image, dict[str, Regions]]:
    """Return an image and its regions mirrored left to right.

    Args:
        image: An RGB image.
        regions: Regions of the image by kind.
        flip_pairs: Keypoints that swap, by kind (the registered kind names them).
    """
    flipped = {kind: geometry.hflip(r, flip_pairs.get(kind)) for kind, r in regions.items()}
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), flipped


def random_window(
    size: tuple[int, int], rng: random.Random, area: tuple[float, float] = (0.1, 1.0), stretch: float = 1.15
) -> Window:
    """Return a window that covers a random share of an image, for a square result.

    Args:
        size: `(H, W)` of the image.
        rng: Source of random numbers.
        area: Least and largest share of the largest square that fits.
        stretch: Largest ratio of the window's sides.
    """
    height, width = size
    side = min(height, width) * math.sqrt(rng.uniform(*area))
    ratio = math.exp(rng.uniform(-1, 1) * math.log(stretch))
    h = max(1, min(height, round(side / math.sqrt(ratio))))
    w = max(1, min(width, round(side * math.sqrt(ratio))))
    return rng.randint(0, height - h), rng.randint(0, width - w), h, w


def window_around(
    box: Sequence[float], size: tuple[int, int], rng: random.Random, scale: tuple[float, float] = (1.2, 2.5)
) -> Window:
    """Return a square window that shows a box, somewhere in it, at a random scale.

    Args:
        box: `x1, y1, x2, y2` in pixels.
        size: `(H, W)` of the image.
        rng: Source of random numbers.
        scale: Least and largest side of the window as a multiple of the box's longer side; a window that the
            image does not hold is made smaller.
    """
    height, width = size
    x1, y1, x2, y2 = box
    side = max(2, min(round(max(x2 - x1, y2 - y1) * rng.uniform(*scale)), height, width))
    left = between(rng, x2 - side, x1, width - side)
    top = between(rng, y2 - side, y1, height - side)
    return top, left, side, side


def central_window(size: tuple[int, int]) -> Window:
    """Return the largest square in the middle of an image of `size` (H, W)."""
    side = min(size)
    return (size[0] - side) // 2, (size[1] - side) // 2, side, side


def between(rng: random.Random, low: float, high: float, largest: int) -> int:
    """Return a random offset from low to high (either order), within 0 and the largest possible."""
    drawn = rng.uniform(*sorted((low, high)))
    return max(0, min(round(drawn), largest))


def jittered(image: Image.Image, rng: random.Random, strength: float = 0.2) -> Image.Image:
    """Return an image with brightness, contrast and colour each changed by up to a factor of 1 +- strength."""
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhance(image).enhance(rng.uniform(1 - strength, 1 + strength))
    return image
