"""Colours of 16 bits, of which PIL reads the upper 8: the lower ones, where they are needed."""

from __future__ import annotations

import io
import sys
from typing import Any

import numpy as np
from PIL import Image

#: What reads the lower byte of a colour, for what reads the upper one.
OTHER_BYTE = {"RGB;16L": "RGB;16B", "RGB;16B": "RGB;16L", "RGB;16N": f"RGB;16{'BL'[sys.byteorder == 'big']}"}
#: White of fewer bits in 16; with a larger upper byte it is that of all 16.
WHITES = (255, 1023, 4095, 16383)


def lower_bytes(opened: Image.Image) -> Image.Image | None:
    """Return an image that holds the lower bytes once it is loaded.

    None where nobody asks for them: an opened image has no such colours, or is a PNG file that has no transparent one.
    """
    file = getattr(opened, "fp", None)
    tiles = [_with_other_byte(tile) for tile in getattr(opened, "tile", ())]
    asked = opened.format == "TIFF" or (opened.format == "PNG" and "transparency" in opened.info)
    if not asked or file is None or not tiles or not all(tile[-1] for tile in tiles):
        return None
    place = file.tell()
    file.seek(0)
    lower = Image.open(io.BytesIO(file.read()))
    file.seek(place)
    lower.seek(opened.tell())
    lower.tile = tiles
    return lower


def _with_other_byte(tile: Any) -> Any:
    """Return a part of a file that is not decoded yet: before Pillow 11 it is a tuple without names."""
    *before, args = tile
    return getattr(tile, "_make", tuple)((*before, _of_other_byte(args)))


def _of_other_byte(args: object) -> object:
    """Return what tells a decoder to read the lower bytes, for what tells it to read the upper ones, or None."""
    first, *rest = args if isinstance(args, tuple) and args else (args,)
    other = OTHER_BYTE.get(first) if isinstance(first, str) else None
    return other and ((other, *rest) if isinstance(args, tuple) else other)


def whiten(image: Image.Image, lower: Image.Image) -> None:
    """Make what has the transparent colour of 16 bits white, in place.

    Args:
        image: The upper bytes, loaded.
        lower: The lower bytes, as `lower_bytes` returns them.
    """
    lower.load()
    values = (np.asarray(image).astype(np.uint16) << 8) | np.asarray(lower)
    image.paste("white", mask=Image.fromarray((values == image.info.pop("transparency")).all(2)))


def brighten(image: Image.Image, lower: Image.Image) -> None:
    """Scale colours of 16 bits in which fewer are used, in place, as grey is: white is that of the least depth.

    Args:
        image: The upper bytes, loaded.
        lower: The lower bytes, as `lower_bytes` returns them.
    """
    upper = np.asarray(image)
    if upper.max(initial=0) > WHITES[-1] >> 8:
        return
    lower.load()
    values = (upper.astype(np.uint16) << 8) | np.asarray(lower)
    white = next(white for white in WHITES if values.max(initial=0) <= white)
    image.paste(Image.fromarray((values * (255.0 / white)).round().astype(np.uint8)))
