"""What training code does to a loss: compile it, save it, move it, run it without gradients."""

from __future__ import annotations

import copy
import io
import warnings
from dataclasses import replace

import pytest
import torch

from regionloss import Regions
from regionloss.compat.torch import REASONED
from tests.helpers import CASES, TEMPLATE, images, loss_of, pair, text_loss, text_regions

BOTH = pytest.mark.parametrize("kind", list(CASES))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@BOTH
def test_torch_compile_gives_the_same_numbers(kind: str) -> None:
    reconstruction, target = pair(dtype=torch.float32)
    loss, regions = loss_of(kind), CASES[kind][1].padded((8,))
    value = loss(reconstruction, target, regions)
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=REASONED)  # torch 2.6 breaks graphs at autocast
    torch.testing.assert_close(compiled(reconstruction, target, regions), value)
    ours = torch.autograd.grad(compiled(reconstruction, target, regions), reconstruction)[0]
    torch.testing.assert_close(ours, torch.autograd.grad(value, reconstruction)[0], atol=1e-6, rtol=1e-4)


@BOTH
def test_the_network_is_frozen_and_out_of_sight(kind: str) -> None:
    loss = loss_of(kind)
    statistics = loss.backbone.network.norm.running_mean.clone()
    loss.train()
    reconstruction, target = pair()
    before = loss(reconstruction, target, CASES[kind][1])
    assert list(loss.parameters()) == []
    assert list(loss.buffers()) == []
    assert loss.state_dict() == {}
    assert not loss.backbone.network.training
    assert not any(p.requires_grad for p in loss.backbone.network.parameters())
    assert torch.equal(loss.backbone.network.norm.running_mean, statistics)
    loss.half()
    assert torch.equal(loss(reconstruction, target, CASES[kind][1]), before)


@BOTH
def test_survives_copying_and_saving(kind: str) -> None:
    reconstruction, target = pair()
    loss = loss_of(kind)
    before = loss(reconstruction, target, CASES[kind][1])
    assert torch.equal(copy.deepcopy(loss)(reconstruction, target, CASES[kind][1]), before)
    buffer = io.BytesIO()
    torch.save(loss, buffer)
    buffer.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = torch.load(buffer, weights_only=False)
    assert torch.equal(again(reconstruction, target, CASES[kind][1]), before)


@BOTH
def test_a_region_does_not_feel_the_others(kind: str) -> None:
    """Faces shrunk 1.2 to 3.9 times, and one without keypoints: alone and together they give the same value."""
    reconstruction, target = (images(2, (160, 200), seed=seed) for seed in (0, 1))
    scale = torch.tensor([1.2, 1.7, 2.5, 3.9, 3.1])[:, None, None]
    points = torch.tensor(TEMPLATE) * scale + torch.tensor([40.0, 30.0])
    points[4] = torch.nan
    corner = torch.tensor([40.0, 30.0]).expand(5, 2)
    boxes = torch.cat([corner, corner + 20 * scale[:, 0]], 1)
    regions = Regions(kind, boxes, torch.tensor([0, 1, 1, 0, 1]), (160, 200), keypoints=points)
    loss = loss_of(kind, reduction="none")
    together = loss(reconstruction, target, regions)
    alone = torch.cat([loss(reconstruction, target, regions.select(torch.tensor([n]))) for n in range(5)])
    torch.testing.assert_close(together, alone, atol=0, rtol=1e-10)


def test_inference_mode_does_not_poison_the_network() -> None:
    reconstruction, target = pair()
    loss = text_loss()
    with torch.inference_mode():
        loss(reconstruction.detach(), target, text_regions())
    loss(reconstruction, target, text_regions()).backward()
    assert reconstruction.grad.abs().sum() > 0


def test_an_empty_batch_is_zero() -> None:
    empty = torch.zeros(0, 3, 40, 48, requires_grad=True)
    for _ in range(2):
        value = text_loss()(empty, empty.detach(), Regions.empty("text", (40, 48), 0))
        assert value == 0
        value.backward()


def test_regions_built_on_a_device_need_no_layout() -> None:
    """Where the host knows nothing of the regions the result is the same."""
    reconstruction, target = pair()
    for kind in CASES:
        regions, loss = CASES[kind][1], loss_of(kind)
        blind = replace(regions)
        object.__setattr__(blind, "layout", None)
        torch.testing.assert_close(
            loss(reconstruction, target, blind),
            loss(reconstruction, target, regions),
            rtol=0.05 if kind == "face" else 1e-12,
            atol=0,
        )


def test_text_regions_name_their_image() -> None:
    assert text_regions().layout.rows.tolist() == [0, 2]
    assert text_regions().layout.slots == 3
