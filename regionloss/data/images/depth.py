"""Colours of 16 bits in TIFF files, of which PIL reads the upper 8: the lower ones, where they are needed."""

from __future__ import annotations

import io
import sys

import numpy as np
from PIL import Image

#: What reads the lower byte of a colour, for what reads the upper one.
OTHER_BYTE = {"RGB;16L": "RGB;16B", "RGB;16B": "RGB;16L", "RGB;16N": f"RGB;16{'BL'[sys.byteorder == 'big']}"}
#: White of fewer bits in 16; with a larger upper byte it is that of all 16.
WHITES = (255, 1023, 4095, 16383)


def lower_bytes(opened: Image.Image) -> Image.Image | None:
    """Return an image that holds the lower bytes once it is loaded; None where an opened image has no such colours."""
    file = getattr(opened, "fp", None)
    modes = {tile.args[0] for tile in getattr(opened, "tile", ()) if isinstance(tile.args, tuple) and tile.args}
    if opened.format != "TIFF" or file is None or not modes or not modes <= OTHER_BYTE.keys():
        return None
    place = file.tell()
    file.seek(0)
    lower = Image.open(io.BytesIO(file.read()))
    file.seek(place)
    lower.seek(opened.tell())
    lower.tile = [
        tile._replace(args=(OTHER_BYTE[tile.args[0]], *tile.args[1:]))
        for tile in lower.tile
        if isinstance(tile.args, tuple)
    ]
    return lower


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
