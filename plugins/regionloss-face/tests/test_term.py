"""The packaged face term against a plain loop over regions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import regionloss as rl
from regionloss.extractors.similarity import fit_similarity

pytestmark = pytest.mark.weights


@pytest.fixture(scope="module")
def term(weights) -> rl.LossTerms:
    weights("dlib-face-resnet")
    return rl.LossTerms.from_names({"face": 1.0})


def by_hand(reconstruction: Tensor, target: Tensor, regions: rl.Regions) -> Tensor:
    """InsightTok's eq. 4 to 9, one face at a time; crops are read point by point with `grid_sample`."""
    from regionloss_face.alignment import DLIB_TEMPLATE
    from regionloss_face.dlib_resnet import load_dlib

    network = load_dlib("dlib-face-resnet").double()
    template = torch.tensor(DLIB_TEMPLATE, dtype=torch.float64)
    mean = torch.tensor([122.782, 117.001, 104.298], dtype=torch.float64).view(1, 3, 1, 1)
    y, x = torch.meshgrid(torch.arange(150).double() + 0.5, torch.arange(150).double() + 0.5, indexing="ij")
    size, total = target.shape[-1], torch.zeros((), dtype=torch.float64)
    for image, box, points in zip(regions.image_index, regions.boxes, regions.keypoints, strict=True):
        matrix, offset = fit_similarity(points[None], template)
        back = torch.linalg.inv(matrix[0])
        read = (torch.stack([x, y], -1) - offset[0]) @ back.T
        levels = []
        for batch in (reconstruction, target):
            pixels = batch[image][None] + 1
            crop = F.grid_sample(pixels, (read / size * 2 - 1)[None], align_corners=False) - 1
            levels.append(network(((crop + 1) * 127.5 - mean) / 256)[:5])
        distance = sum((a - b).square().sum(1).mean() for a, b in zip(*levels, strict=True)) / 5
        total = total + distance * (box[2] - box[0]) * (box[3] - box[1]) / size**2
    return total / len(target)


def test_agrees_with_a_plain_loop(term, pair, faces) -> None:
    """Float64, to 1e-10; the faces are smaller than the crop, so that both read one point a pixel."""
    target = pair.double()
    noise = torch.randn(target.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    reconstruction = target + 0.1 * noise
    regions = faces.to("cpu", dtype=torch.float64)
    ours = term(reconstruction, target, regions).total
    torch.testing.assert_close(ours, by_hand(reconstruction, target, regions), atol=1e-10, rtol=1e-10)


def test_gradient_stays_in_the_crops(term, pair, faces) -> None:
    """Finite, not zero in each face, and zero far from it; none for the target."""
    reconstruction = (pair + 0.1).requires_grad_()
    target = pair.clone().requires_grad_()
    term(reconstruction, target, faces).total.backward()
    assert bool(reconstruction.grad.isfinite().all())
    for image, box in enumerate(faces.boxes.int().tolist()):
        assert float(reconstruction.grad[image, :, box[1] : box[3], box[0] : box[2]].abs().sum()) > 0
    assert float(reconstruction.grad[:, :, 190:, 190:].abs().max()) == 0
    assert target.grad is None


def test_same_image_is_zero(term, pair, faces) -> None:
    reconstruction = pair.clone().requires_grad_()
    total = term(reconstruction, pair, faces).total
    total.backward()
    assert float(total.detach()) == 0
    assert bool(reconstruction.grad.isfinite().all())


def test_detected_faces_go_straight_into_the_term(term, weights, pair) -> None:
    for name in ("mtcnn-pnet", "mtcnn-rnet", "mtcnn-onet"):
        weights(name)
    from regionloss_face.mtcnn import MTCNNDetector

    out = term(pair.flip(0), pair, MTCNNDetector().detect(pair))
    assert out.per_region["face"].shape == (2,)
    assert bool((out.per_region["face"] > 0).all())
