"""Crops of hands against scikit-image's similarity, and their mirror images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from regionloss_hands.alignment import HandExtractor, thumb_side
from regionloss_hands.keypoints import TEMPLATE
from skimage.transform import estimate_transform

from regionloss import Regions
from regionloss.errors import InputError
from regionloss.regions.geometry import hflip
from regionloss.testing.contracts import RegionExtractorContract

PALM = [0, 5, 9, 13, 17]


class TestContract(RegionExtractorContract):
    kind, keypoints = "hand", 21

    def make(self) -> HandExtractor:
        return HandExtractor()


@pytest.fixture
def both(hands) -> Regions:
    """The drawn hands and their mirror images, in float64."""
    one = hands.to("cpu", dtype=torch.float64)
    other = hflip(one, ())
    points = torch.cat([one.keypoints, other.keypoints])
    index = torch.tensor([0, 1, 2, 3])
    return Regions("hand", torch.cat([one.boxes, other.boxes]), index, (256, 256), 4, keypoints=points)


def test_the_side_of_the_thumb(both) -> None:
    """The drawn hand has it on the left, its mirror image on the right, and turning changes nothing."""
    assert thumb_side(both.keypoints).tolist() == [1, 1, -1, -1]
    turned = both.keypoints.flip(2) * torch.tensor([-1.0, 1.0])
    assert thumb_side(turned).tolist() == [1, 1, -1, -1]


def test_transform_equals_scikit_image(both) -> None:
    """Its least squares similarity of wrist and knuckles, after a mirror where the thumb is on the right; 1e-6 px."""
    matrix, offset = HandExtractor().to_image(both, torch.float64)
    corners = np.array([[0.0, 0], [224, 0], [0, 224], [224, 224]])
    for n, points in enumerate(both.keypoints.numpy()[:, PALM]):
        side = np.array([1.0 if n < 2 else -1.0, 1.0])
        theirs = estimate_transform("similarity", points * side, np.array(TEMPLATE)).inverse(corners) * side
        np.testing.assert_allclose(corners @ matrix[n].numpy().T + offset[n].numpy(), theirs, atol=1e-6)


def test_mirrored_images_give_the_same_crops(pair, both) -> None:
    images = torch.cat([pair, pair.flip(3)]).double()
    for size in ((224, 224), (96, 128)):
        crops = HandExtractor(size)(images, both)
        torch.testing.assert_close(crops[:2], crops[2:], atol=1e-10, rtol=0)
        assert float((crops[:1] - crops[:1].flip(3)).abs().mean()) > 0.05  # and no hand is its own mirror image


def test_turned_hands_lie_alike(drawn) -> None:
    """The same hand at another angle and size: the same crop, but for what sampling loses and the forearm."""
    crops = []
    for settings in ({}, {"angle": 1.0}, {"angle": -2.5, "scale": 0.8}):
        image, joints = drawn(**settings)
        box = torch.tensor([[0.0, 0, 256, 256]])
        regions = Regions("hand", box, torch.tensor([0]), (256, 256), 1, keypoints=joints[None])
        crops.append(HandExtractor()(image, regions)[:, :, :180])
    assert all(float((crops[0] - other).abs().mean()) < 0.05 for other in crops[1:])


def test_smaller_crops_show_the_same(pair, hands) -> None:
    """A crop of half the size is the large one, averaged over two by two pixels."""
    large, small = HandExtractor()(pair, hands), HandExtractor((112, 112))(pair, hands)
    assert float((torch.nn.functional.avg_pool2d(large, 2) - small).abs().mean()) < 0.01


def test_unknown_keypoints(pair, hands) -> None:
    """Fingers may be unknown; without wrist and knuckles the box is cut."""
    fingers = [n for n in range(21) if n not in PALM]
    points = hands.keypoints.clone()
    points[:, fingers] = torch.nan
    known = replace(hands, keypoints=points)
    torch.testing.assert_close(HandExtractor()(pair, known), HandExtractor()(pair, hands), atol=0.05, rtol=0)
    nothing = replace(hands, keypoints=torch.full_like(points, torch.nan))
    matrix, offset = HandExtractor().to_image(nothing, torch.float32)
    torch.testing.assert_close(offset, hands.boxes[:, :2])
    torch.testing.assert_close(matrix @ torch.tensor([224.0, 224]) + offset, hands.boxes[:, 2:])


def test_errors_are_sentences(pair, hands) -> None:
    wanted = r"regions\['hand'\]\.keypoints: expected 21 keypoints a hand, got "
    with pytest.raises(InputError, match=wanted + r"none\. Use the detector 'hands/mediapipe'"):
        HandExtractor()(pair, replace(hands, keypoints=None))
    with pytest.raises(InputError, match=wanted + "5"):
        HandExtractor()(pair, replace(hands, keypoints=hands.keypoints[:, :5]))
    with pytest.raises(InputError, match=r"aligned\.padding: expected 'border' or 'black', got 'white'"):
        HandExtractor(padding="white")
