"""Grey of more than 8 bits: what white is, and what becomes of the values between."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from regionloss.data.images import files as images
from regionloss.data.images.files import read_image


def saved(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_white_of_a_file_that_does_not_say_it_is_that_of_its_depth(tmp_path: Path, bits: int, mode: str):
    white = 2**bits - 1
    values = np.array([[0, white // 3, white]], {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode])
    found = np.asarray(read_image(saved(Image.fromarray(values), tmp_path / "a.tif")))
    assert found[0, :, 0].tolist() == [0, 85, 255]
    if mode == "F":
        odd = np.array([[np.nan, np.inf, white / 3, white]], np.float32)
        found = np.asarray(read_image(saved(Image.fromarray(odd), tmp_path / "b.tif")))
        assert found[0, :, 0].tolist() == [0, 255, 85, 255]


@pytest.mark.parametrize("side", [64, 4200])
def test_a_tiff_of_16_bits_in_which_white_is_0_is_no_negative(tmp_path: Path, side: int):
    """PIL turns those of 8 bits alone; a large image is converted in bands."""
    values = np.full((side, side), 3000, np.uint16)
    values[0, 0] = 0
    path = saved(Image.fromarray(values), tmp_path / "a.tif", tiffinfo={262: 0})
    image = read_image(path)
    assert (image.getpixel((0, 0)), image.getpixel((side - 1, side - 1))) == (
        (255,) * 3,
        (round(1095 / 4095 * 255),) * 3,
    )


@pytest.mark.parametrize("highest", [200, 60_000, 10**6, 2**31 - 1])
@pytest.mark.parametrize("mode", ["I", "F"])
def test_grey_of_whole_and_float_numbers_is_that_of_plain_arithmetic(mode: str, highest: int):
    values = np.random.default_rng(0).integers(-highest // 9, highest, (40, 50), endpoint=True)
    values[0, 0] = highest
    values = values.astype(np.int32 if mode == "I" else np.float32)
    white = next((one for one in (255, 1023, 4095, 16383, 65535) if values.max() <= one), values.max())
    wanted = (values.astype(np.float64) / white * 255).clip(0, 255).round()
    found = np.asarray(images.to_rgb(Image.fromarray(values)))
    assert (found == wanted[..., None]).all()
