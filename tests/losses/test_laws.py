"""The laws of the flow: one test each, exact in float64."""

from __future__ import annotations

import copy
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from regionloss import RegionPerceptualLoss, Regions
from tests.helpers import CASES, backbone, images, loss_of, pair

BOTH = pytest.mark.parametrize("kind", list(CASES))


@BOTH
def test_identical_images_give_zero_and_a_finite_gradient(kind: str) -> None:
    reconstruction, _ = pair()
    value = loss_of(kind)(reconstruction, reconstruction.detach().clone(), CASES[kind][1])
    value.backward()
    assert value == 0
    assert reconstruction.grad.isfinite().all()
    assert reconstruction.grad.abs().max() == 0


@BOTH
def test_permuting_regions_changes_nothing(kind: str) -> None:
    reconstruction, target = pair()
    regions = CASES[kind][1]
    order = torch.randperm(len(regions), generator=torch.Generator().manual_seed(1))
    loss = loss_of(kind, reduction="none")
    values = loss(reconstruction, target, regions)
    torch.testing.assert_close(loss(reconstruction, target, regions.select(order)), values[order], atol=1e-14, rtol=0)


@pytest.mark.filterwarnings("ignore:regions. expected such as")
@BOTH
def test_no_regions_gives_a_zero_attached_to_the_graph(kind: str) -> None:
    reconstruction, target = pair()
    for regions in (None, Regions.empty(kind, (40, 48), 3, keypoints=5)):
        value = loss_of(kind)(reconstruction, target, regions)
        assert value.shape == ()
        assert value == 0
        (gradient,) = torch.autograd.grad(value, reconstruction)
        assert gradient.abs().max() == 0


@BOTH
def test_gradients_reach_the_reconstruction_and_nothing_else(kind: str) -> None:
    reconstruction, target = pair()
    target.requires_grad_()
    loss = loss_of(kind)
    loss(reconstruction, target, CASES[kind][1]).backward()
    assert reconstruction.grad.abs().sum() > 0
    assert target.grad is None
    assert all(weight.grad is None for weight in loss.backbone.network.parameters())
    untouched = reconstruction.grad[1]
    assert untouched.abs().max() == 0, "image 1 has no region"


@BOTH
def test_nothing_is_clamped_before_the_backbone(kind: str) -> None:
    reconstruction, target = pair()
    saturated = (reconstruction.detach() * 3).requires_grad_()
    loss_of(kind)(saturated, target, CASES[kind][1]).backward()
    beyond = (saturated.abs() > 1) & (saturated.grad != 0)
    assert beyond.sum() > 100


@BOTH
def test_agrees_with_a_plain_loop_over_regions(kind: str) -> None:
    """Reference: one region at a time, eq. 4-6 written out; for text with torch's own crop and interpolation."""
    reconstruction, target = pair()
    regions = CASES[kind][1]
    if kind == "text":
        regions = replace(
            regions,
            boxes=torch.tensor([[2.0, 3, 30, 13], [10, 20, 40, 31], [0, 0, 48, 40], [40, 30, 47, 39], [5, 5, 9, 8]]),
            layout=None,
        )
    loss = loss_of(kind)
    network = copy.deepcopy(loss.backbone.network).double()
    mean, std = (torch.tensor(v, dtype=torch.float64).view(1, 3, 1, 1) for v in ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4)))

    def crop(x: Tensor, n: int) -> Tensor:
        image = x[regions.image_index[n]][None]
        if kind == "text":
            x1, y1, x2, y2 = (int(v) for v in regions.boxes[n])
            return torch.nn.functional.interpolate(image[..., y1:y2, x1:x2], (12, 20), mode="bilinear", antialias=True)
        return loss.extractor(image, replace(regions.select(torch.tensor([n])), image_index=torch.tensor([0])))

    total = torch.zeros((), dtype=torch.float64)
    for n in range(len(regions)):
        levels = [network(((crop(x, n) + 1) / 2 - mean) / std) for x in (reconstruction, target)]
        distance = sum(((a - b) ** 2).sum(1).mean() for a, b in zip(*levels, strict=True)) / len(levels[0])
        x1, y1, x2, y2 = regions.boxes[n].tolist()
        upright = np.float32([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])
        shape = regions.quads[n].numpy() if kind == "askew" and n < 2 else upright
        total = total + distance * cv2.contourArea(shape) / (40 * 48)
    total = total / 3
    value = loss(reconstruction, target, regions)
    torch.testing.assert_close(value, total, atol=1e-10, rtol=0)
    ours, theirs = (torch.autograd.grad(v, reconstruction)[0] for v in (value, total))
    torch.testing.assert_close(ours, theirs, atol=1e-10, rtol=0)


@BOTH
def test_mean_over_images_counts_those_without_regions(kind: str) -> None:
    reconstruction, target = pair()
    regions = CASES[kind][1]
    loss = loss_of(kind)
    more = [torch.cat([x.detach(), images(2, seed=9)]) for x in (reconstruction, target)]
    torch.testing.assert_close(loss(*more, regions) * 5, loss(reconstruction, target, regions).detach() * 3)


@BOTH
def test_regions_that_are_not_valid_weigh_nothing(kind: str) -> None:
    reconstruction, target = pair()
    regions = CASES[kind][1]
    loss = loss_of(kind)
    value = loss(reconstruction, target, regions)
    padded = regions.padded((16,))
    assert len(padded) == 16
    torch.testing.assert_close(loss(reconstruction, target, padded), value)
    reconstruction.grad = None
    loss(reconstruction, target, padded).backward()
    assert reconstruction.grad.isfinite().all()


@BOTH
def test_chunks_change_nothing(kind: str) -> None:
    reconstruction, target = pair()
    values = [loss_of(kind, chunk_size=n)(reconstruction, target, CASES[kind][1]) for n in (None, 2)]
    gradients = [torch.autograd.grad(v, reconstruction)[0] for v in values]
    torch.testing.assert_close(values[1], values[0], atol=1e-14, rtol=0)
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-14, rtol=0)


@BOTH
def test_value_range_is_converted_once(kind: str) -> None:
    reconstruction, target = pair()
    regions = CASES[kind][1]
    unit = [(x.detach() + 1) / 2 for x in (reconstruction, target)]
    value = loss_of(kind, value_range=(0, 1))(*unit, regions)
    torch.testing.assert_close(value, loss_of(kind)(reconstruction, target, regions).detach())


@BOTH
def test_bf16_gradients_follow_float32(kind: str) -> None:
    reconstruction, target = pair(dtype=torch.float32)
    loss, regions = loss_of(kind), CASES[kind][1]
    exact = torch.autograd.grad(loss(reconstruction, target, regions), reconstruction)[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(reconstruction, target, regions)
    rough = torch.autograd.grad(value, reconstruction)[0]
    assert value.dtype == torch.float32
    assert not torch.equal(rough, exact), "the backbone ran in float32"
    assert torch.cosine_similarity(rough.flatten(), exact.flatten(), 0) > 0.999
    assert (rough - exact).norm() < 0.05 * exact.norm()


def test_a_backbone_may_refuse_autocast() -> None:
    reconstruction, target = pair(dtype=torch.float32)
    extractor, regions = CASES["text"]
    loss = RegionPerceptualLoss(extractor, backbone(autocast=False))
    exact = loss(reconstruction, target, regions)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(loss(reconstruction, target, regions), exact)


@BOTH
def test_no_grad(kind: str) -> None:
    reconstruction, target = pair()
    with torch.no_grad():
        value = loss_of(kind)(reconstruction, target, CASES[kind][1])
    assert not value.requires_grad
    assert value == loss_of(kind)(reconstruction, target, CASES[kind][1]).detach()


@BOTH
def test_one_backbone_call_whatever_the_number_of_regions(kind: str) -> None:
    reconstruction, target = pair()
    loss, regions = loss_of(kind), CASES[kind][1]
    calls = []
    loss.backbone.register_forward_hook(lambda *_: calls.append(1))
    for some in (regions.select(torch.tensor([0])), regions, regions.padded((64,))):
        calls.clear()
        loss(reconstruction, target, some)
        assert len(calls) == 1


@BOTH
def test_nothing_is_read_back_from_the_device(kind: str) -> None:
    """Tensors on the meta device have no values: whoever asks for one fails."""
    regions = CASES[kind][1].to("meta")
    reconstruction = images(3, dtype=torch.float32).to("meta").requires_grad_()
    loss = loss_of(kind)
    loss._checked = True
    for some in (regions, replace(regions, layout=None)):
        value = loss(reconstruction, images(3, dtype=torch.float32).to("meta"), some)
        value.backward()
        assert reconstruction.grad.shape == reconstruction.shape


def test_images_without_regions_are_not_sampled() -> None:
    """The sampling's work grows with the images that have regions, not with the batch."""
    from torch.utils.flop_counter import FlopCounterMode

    extractor, regions = CASES["text"]
    flops = []
    for count in (3, 30):
        with FlopCounterMode(display=False) as counter:
            extractor(images(count, dtype=torch.float32), regions)
        flops.append(counter.get_total_flops())
    assert flops[0] == flops[1] > 0
