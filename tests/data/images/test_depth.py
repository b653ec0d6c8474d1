"""Colours of 16 bits against numpy: a TIFF is written by hand, byte for byte."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from regionloss.data.images.files import open_image, to_rgb, upright


def tiff(values: np.ndarray, order: str, packed: bool = False) -> bytes:
    """Return (H, W, 3) numbers of 16 bits as a TIFF file, `<` for Intel's order of bytes, `>` for Motorola's."""
    height, width, _ = values.shape
    data, bits = values.astype(f"{order}u2").tobytes(), struct.pack(f"{order}3H", 16, 16, 16)
    data = zlib.compress(data) if packed else data
    place = 8 + 2 + 12 * 9 + 4
    long, short = "I", "HH"
    rows = [
        (256, 4, 1, long, width),
        (257, 4, 1, long, height),
        (258, 3, 3, long, place),
        (259, 3, 1, short, 8 if packed else 1),
        (262, 3, 1, short, 2),
        (273, 4, 1, long, place + len(bits)),
        (277, 3, 1, short, 3),
        (278, 4, 1, long, height),
        (279, 4, 1, long, len(data)),
    ]
    fields = b"".join(
        struct.pack(f"{order}HHI", tag, kind, count) + struct.pack(f"{order}{form}", value, *(0,) * (len(form) - 1))
        for tag, kind, count, form, value in rows
    )
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8) + struct.pack(f"{order}H", len(rows))
    return head + fields + bytes(4) + bits + data


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_colours_of_fewer_bits_in_16_are_scaled_to_their_own_white(bits: int, order: str, packed: bool) -> None:
    values = np.random.default_rng(bits).integers(0, 2**bits, (5, 7, 3))
    values[0, 0, 0] = 2**bits - 1
    found = np.asarray(upright(open_image(tiff(values, order, packed), "a.tif")))
    wanted = np.round(values * (255 / (2**bits - 1))) if bits < 16 else values >> 8
    assert np.array_equal(found, wanted)


def test_colours_of_16_bits_that_are_turned_are_read_alike() -> None:
    values = np.random.default_rng(0).integers(0, 4096, (5, 7, 3))
    file = io.BytesIO()
    Image.open(io.BytesIO(tiff(values, "<"))).save(file, "TIFF")  # of 8 bits: nothing to add
    assert np.array_equal(np.asarray(to_rgb(Image.open(file))), values >> 8)
