"""The hands term against a plain loop over regions, and its mirror image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from regionloss_hands.keypoints import TEMPLATE
from skimage.transform import estimate_transform
from torch import Tensor

import regionloss as rl
from regionloss.regions.geometry import hflip
from regionloss.testing.contracts import FeatureBackboneContract

pytestmark = pytest.mark.weights


@pytest.fixture(scope="module")
def term(weights) -> rl.LossTerms:
    weights("hand-landmark-full")
    return rl.LossTerms.from_names({"hands": 1.0})


class TestContract(FeatureBackboneContract):
    @pytest.fixture(autouse=True, params=["hand-landmark-full", "hand-landmark-lite"])
    def given(self, request, weights) -> None:
        weights(request.param)
        from regionloss_hands.backbone import HandLandmarkBackbone

        self.backbone = HandLandmarkBackbone(request.param)

    def make(self):
        return self.backbone


def noisy(target: Tensor) -> Tensor:
    noise = torch.randn(target.shape, generator=torch.Generator().manual_seed(0), dtype=target.dtype)
    return target + 0.1 * noise


def by_hand(reconstruction: Tensor, target: Tensor, regions: rl.Regions) -> Tensor:
    """InsightTok's eq. 4 to 9, one hand at a time: scikit-image's similarity, `grid_sample`, and a mirror."""
    from regionloss_hands.tflite_network import HAND_KEYPOINTS, TFLiteNetwork, load_graph

    network = TFLiteNetwork(load_graph("hand-landmark-full", HAND_KEYPOINTS), (106, 113, 120, 142, 157)).double()
    y, x = np.meshgrid(np.arange(224) + 0.5, np.arange(224) + 0.5, indexing="ij")
    size, total = target.shape[-1], torch.zeros((), dtype=torch.float64)
    for image, box, points in zip(regions.image_index, regions.boxes, regions.keypoints, strict=True):
        palm, left = points.numpy()[[0, 5, 9, 13, 17]], points[5, 0] < points[17, 0]  # drawn upright
        mirrored = palm if left else palm * [-1, 1] + [size, 0]
        back = estimate_transform("similarity", mirrored, np.array(TEMPLATE)).inverse
        read = torch.from_numpy(back(np.stack([x.ravel(), y.ravel()], 1)).reshape(1, 224, 224, 2))
        levels = []
        for batch in (reconstruction, target):
            pixels = batch[image][None] if left else batch[image][None].flip(3)
            crop = F.grid_sample(pixels, read / size * 2 - 1, padding_mode="border", align_corners=False)
            levels.append(network((crop + 1) / 2))
        distance = sum((a - b).square().sum(1).mean() for a, b in zip(*levels, strict=True)) / 5
        total = total + distance * (box[2] - box[0]) * (box[3] - box[1]) / size**2
    return total / len(target)


@pytest.mark.parametrize("mirror", [False, True])
def test_agrees_with_a_plain_loop(term, drawn, mirror) -> None:
    """Float64, to 1e-10; the hand is smaller than in the crop, so that both read one point a pixel."""
    target, joints = drawn(scale=0.45, angle=0.2)
    box = torch.cat([joints.amin(0), joints.amax(0)])[None]
    regions = rl.Regions("hand", box, torch.tensor([0]), (256, 256), 1, keypoints=joints[None])
    target, regions = target.double(), regions.to("cpu", dtype=torch.float64)
    if mirror:
        target, regions = target.flip(3), hflip(regions, ())
    reconstruction = noisy(target)
    expected = by_hand(reconstruction, target, regions).detach()
    torch.testing.assert_close(term(reconstruction, target, regions).total, expected, atol=1e-10, rtol=1e-10)


def test_mirror_images_cost_the_same(term, pair, hands) -> None:
    target = pair.double()
    reconstruction, regions = noisy(target).requires_grad_(), hands.to("cpu", dtype=torch.float64)
    ours = term(reconstruction, target, regions)
    (gradient,) = torch.autograd.grad(ours.total, reconstruction)
    mirrored = reconstruction.detach().flip(3).requires_grad_()
    theirs = term(mirrored, target.flip(3), hflip(regions, ()))
    (mirrored_gradient,) = torch.autograd.grad(theirs.total, mirrored)
    torch.testing.assert_close(ours.per_region["hands"], theirs.per_region["hands"], atol=0, rtol=1e-10)
    torch.testing.assert_close(gradient, mirrored_gradient.flip(3), atol=1e-12, rtol=1e-8)


def test_gradient_reaches_each_hand(term, pair, hands) -> None:
    """Finite, not zero in each hand, and none for the target."""
    reconstruction, target = noisy(pair).requires_grad_(), pair.clone().requires_grad_()
    term(reconstruction, target, hands).total.backward()
    assert bool(reconstruction.grad.isfinite().all())
    for image, box in enumerate(hands.boxes.int().tolist()):
        assert float(reconstruction.grad[image, :, box[1] : box[3], box[0] : box[2]].abs().sum()) > 0
    assert target.grad is None


def test_same_image_is_zero(term, pair, hands) -> None:
    reconstruction = pair.clone().requires_grad_()
    total = term(reconstruction, pair, hands).total
    total.backward()
    assert float(total.detach()) == 0
    assert bool(reconstruction.grad.isfinite().all())


def test_a_missing_finger_costs_more_than_a_shade(term, drawn, hands) -> None:
    """What the term is for: at the same squared error, losing a finger costs more than a change of the light."""
    target, joints = drawn()
    regions = hands.of_image(0)
    lost = target.clone()
    x, y = (int(v) for v in joints[16])
    lost[:, :, y - 15 : y + 30, x - 12 : x + 12] = target[:, :, :1, :1]
    x1, y1, x2, y2 = regions.boxes[0].int().tolist()
    error = (lost - target).square().sum()
    shaded = target.clone()
    shaded[:, :, y1:y2, x1:x2] += (error / shaded[:, :, y1:y2, x1:x2].numel()).sqrt()
    torch.testing.assert_close((shaded - target).square().sum(), error)
    assert float(term(lost, target, regions).total) > 2 * float(term(shaded, target, regions).total)


def test_detected_hands_go_straight_into_the_term(term, weights, pair) -> None:
    for name in ("hand-palm", "hand-landmark-full"):
        weights(name)
    out = term(pair.flip(0), pair, rl.detect(pair, "hands/mediapipe"))
    assert out.per_region["hands"].shape == (2,)
    assert bool((out.per_region["hands"] > 0).all())
