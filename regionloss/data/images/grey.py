"""Grey of more than 8 bits -> RGB: what white is in it, and each value as a byte."""

from __future__ import annotations

import numpy as np
from PIL import Image

#: What white may be where the file does not say: the depths that cameras have.
WHITES = (255.0, 1023.0, 4095.0, 16383.0, 65535.0)
BITS_PER_SAMPLE, PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0


def white_of(image: Image.Image) -> float:
    """Return what white is in grey of more than 8 bits.

    Files of PNG and PNM say it: the largest number of 16 bits. A TIFF file with fewer bits says it, too; one of 16
    often holds 12 (its tag MaxSampleValue is not meant for display), and whole and float numbers have no white at all:
    there it is that of the least depth which holds the largest value. 1 is white in float numbers up to 1.
    """
    bits = getattr(image, "tag_v2", {}).get(BITS_PER_SAMPLE, (16,))[0]
    if image.mode.startswith("I;16") and (image.format != "TIFF" or bits < 16):
        return 65535.0 if image.format != "TIFF" else 2.0**bits - 1
    if image.mode == "F":
        values = np.asarray(image)
        highest = float(values.max(initial=0.0, where=np.isfinite(values)))
    else:
        highest = float(image.getextrema()[1])  # type: ignore[arg-type]
    return next((white for white in ((1.0,) if image.mode == "F" else ()) + WHITES if highest <= white), highest)


def grey_to_rgb(image: Image.Image, white: float, negative: bool = False) -> Image.Image:
    """Return grey from 0 to `white`, or from there to 0, as RGB, with white where it is transparent."""
    given, clear = np.asarray(image), image.info.get("transparency")
    if given.dtype == np.int32 and white <= WHITES[-1]:
        given = given.clip(0, int(WHITES[-1])).astype(np.uint16)
    # Of 16 bits, each value is worked out once, not for each pixel.
    every = np.arange(1 << 16) if given.dtype == np.uint16 else given
    values = every.astype(np.float64)
    np.nan_to_num(values, copy=False, posinf=white, neginf=0.0)
    if clear is not None:
        values[values == clear] = white
    if negative:
        np.subtract(white, values, out=values)
    values /= white
    values *= 255.0
    grey = np.rint(values.clip(0, 255, out=values), out=values).astype(np.uint8)
    return Image.fromarray(grey[given] if every is not given else grey).convert("RGB")


def is_negative(image: Image.Image) -> bool:
    """Whether 0 is white, as a TIFF file may say."""
    return bool(getattr(image, "tag_v2", {}).get(PHOTOMETRIC) == WHITE_IS_ZERO)
