"""Crops of words that lie askew at their own size, against OpenCV and pictures that are turned back."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from scipy import ndimage

from regionloss import Regions
from regionloss.extractors import upright_crops
from regionloss.regions import quads as shapes
from tests.extractors.test_quadrilateral import NONE, SIZE, turned, words


def smooth() -> torch.Tensor:
    noise = ndimage.gaussian_filter(np.random.default_rng(0).random((2, 3, *SIZE)), (0, 0, 2, 2))
    return torch.from_numpy((noise - 0.5) * 8)


def test_words_are_cut_as_large_as_they_are_with_a_margin_in_their_own_direction() -> None:
    batch, quads = smooth(), [turned(25, (60, 20)), NONE, turned(-70, (50, 16))]
    crops = upright_crops(batch, words(*quads, index=(0, 1, 1)), margin=0.25)
    assert list(crops) == [0, 2]
    for number, image, larger in ((0, 0, turned(25, (70, 30))), (2, 1, turned(-70, (58, 24)))):
        height, width = crops[number].shape[1:]
        canvas = np.float32([[0, 0], [width, 0], [width, height], [0, height]]) - 0.5
        to_crop = cv2.getPerspectiveTransform(np.float32(larger) - 0.5, canvas)
        picture = batch[image].permute(1, 2, 0).float().numpy()
        expected = cv2.warpPerspective(picture, to_crop, (width, height), borderMode=cv2.BORDER_REPLICATE)
        np.testing.assert_allclose(crops[number].permute(1, 2, 0).numpy(), expected, atol=0.02)
    assert (crops[0].shape, crops[2].shape) == ((3, 30, 70), (3, 24, 58))


def test_tall_words_are_turned_and_boxes_are_left_to_others() -> None:
    batch = smooth()
    upwards = [turned(0, (16, 50))]
    (crop,) = upright_crops(batch, words(*upwards)).values()
    left, top = round(upwards[0][0][0] - 0.3) + 0, round(upwards[0][0][1])
    shown = torch.rot90(batch[0, :, top : top + 50, left : left + 16], 1, (1, 2)).float()
    assert crop.shape == shown.shape
    assert (crop - shown).abs().mean() < 0.1 * shown.abs().mean() + 0.1
    assert upright_crops(batch, words(*upwards).changed(quads=None)) == {}


def test_a_shape_that_a_margin_would_fold_stays_as_it_is() -> None:
    """Nearly a triangle: what is added on one side crosses the other."""
    sliver = torch.tensor([[[0.0, 0], [40, 18], [40, 20], [0, 40]]], dtype=torch.float64)
    found = shapes.grown(sliver, 3.0)
    assert bool(shapes.is_clockwise(found).all())
    boxes = torch.tensor([[0.0, 0, 40, 40]], dtype=torch.float64)
    regions = Regions("text", boxes, torch.tensor([0]), SIZE, 1, quads=sliver)
    assert upright_crops(smooth()[:1], regions, 3.0)[0].isfinite().all()
