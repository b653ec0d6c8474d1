"""`to_tensor`, and what is said of images that are not of one kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import regionloss as rl


def image(mode: str = "RGB", size: tuple[int, int] = (8, 6)) -> Image.Image:
    return Image.new(mode, size, 0)


def test_images_of_one_size_are_stacked() -> None:
    stacked = rl.to_tensor([image(), Image.new("RGB", (8, 6), (255, 0, 0))])
    assert tuple(stacked.shape) == (2, 3, 6, 8)
    assert stacked[1, :, 0, 0].tolist() == [1, -1, -1]


@pytest.mark.parametrize(
    ("images", "said"),
    [
        ([image(), image(size=(9, 6))], r"one size \(height x width\), got 6 x 8 and, in images\[1\], 6 x 9\. Resize"),
        ([image(), image("L")], r"images\[1\]: expected an RGB image, .* got \(6, 8\) of uint8\. Write image\.convert"),
        ([image("RGBA")], r"images\[0\]: expected an RGB image, .* got \(6, 8, 4\)"),
        ([np.zeros((6, 8, 3), np.float32)], r"images\[0\]: .* of float32"),
        ([], r"expected a list of images, got none"),
        (image(), r"expected a list of images, got one image\. Write to_tensor\(\[image\]\)"),
        (5, r"expected a list of images, got int\."),
        ("x.png", r"expected a list of images, got str\."),
        (iter([None]), r"images\[0\]: expected an RGB image"),
        ([3], r"images\[0\]: expected an RGB image"),
        (["photo.png"], r"images\[0\]: expected an RGB image, .* Write read_image\(path\)\."),
        ([torch.zeros(3, 6, 8)], r"images\[0\]: .* got \(3, 6, 8\) of float32\. A tensor in \[-1, 1\] needs"),
        ([np.zeros((6, 8, 3))], r"images\[0\]: .* of float64\. Bytes from 0 to 255"),
        ([np.zeros((6, 8), np.uint8)], r"images\[0\]: .* of uint8\. Write Image\.fromarray\(image\)\.convert"),
    ],
)
def test_others_are_a_sentence(images: Any, said: str) -> None:
    with pytest.raises(rl.RegionLossError, match=f"^to_tensor.*{said}"):
        rl.to_tensor(images)
