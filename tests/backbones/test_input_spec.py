"""What a network wants to see, against Pillow, OpenCV and torchvision on images whose channels differ."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as TF

from regionloss import InputSpec
from regionloss.backbones import imagenet_spec

PIXELS = np.random.default_rng(0).integers([150, 60, 0], [256, 120, 50], (2, 6, 5, 3)).astype(np.uint8)
CROPS = torch.from_numpy(PIXELS).permute(0, 3, 1, 2).double() / 127.5 - 1


def test_bgr_is_the_order_of_opencv() -> None:
    """caffe's preprocessing, written out on OpenCV's pixels: minus its means of blue, green and red."""
    cv2 = pytest.importorskip("cv2")
    found = InputSpec(None, (0, 255), "BGR", (103.939, 116.779, 123.68))(CROPS)
    for pixels, crop in zip(PIXELS, found, strict=True):
        expected = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR).astype(float) - [103.939, 116.779, 123.68]
        np.testing.assert_allclose(crop.permute(1, 2, 0).numpy(), expected, atol=1e-9)


def test_rgb_is_normalised_as_torchvision_does() -> None:
    expected = TF.normalize((CROPS + 1) / 2, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    torch.testing.assert_close(imagenet_spec()(CROPS), expected)


def test_grey_is_that_of_pillow() -> None:
    found = InputSpec(None, (0, 255), "L")(CROPS)
    assert found.shape == (2, 1, 6, 5)
    for pixels, crop in zip(PIXELS, found, strict=True):
        expected = np.asarray(Image.fromarray(pixels).convert("L")).astype(float)
        np.testing.assert_allclose(crop[0].numpy(), expected, atol=0.51)  # Pillow rounds
