"""Graphs of a loss: `torch.compile` makes one for each padded count, `torch.export` one for a fixed count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from regionloss import RegionPerceptualLoss, Regions
from regionloss.compat.torch import REASONED
from regionloss.regions import quads as shapes
from tests.helpers import TEMPLATE, images, loss_of

SIZE = (64, 96)
IMAGES = 8
KINDS = pytest.mark.parametrize("kind", ["text", "face", "askew"])
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


def drawn(kind: str, seed: int) -> Regions:
    """Up to 16 regions of 6 to 66 pixels, of some images; of the askew ones every other batch has a box."""
    g = torch.Generator().manual_seed(seed)
    count = int(torch.randint(1, 17, (), generator=g))
    index = torch.randint(int(torch.randint(1, IMAGES + 1, (), generator=g)), (count,), generator=g)
    centre = torch.rand(count, 2, generator=g) * torch.tensor([60, 40]) + 15
    half = torch.rand(count, 2, generator=g) * 30 + 3
    corners = torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]]) * half[:, None]
    boxes, given = shapes.hulls(corners + centre[:, None]), {}
    if kind == "face":
        given["keypoints"] = centre[:, None] + (torch.tensor(TEMPLATE) - 10) * half[:, :1, None] / 8
    if kind == "askew":
        angle = torch.rand(count, generator=g) * 6.28
        turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).view(-1, 2, 2)
        given["quads"] = corners @ turn.transpose(1, 2) + centre[:, None]
        boxes = shapes.hulls(given["quads"])
        given["quads"][: seed % 2] = torch.nan
    texts = tuple(f"{seed}.{n}" for n in range(count))
    return Regions(kind, boxes, index, SIZE, IMAGES, texts=texts, **given)


def batch(seed: int) -> tuple[Tensor, Tensor]:
    return images(IMAGES, SIZE, seed=seed).requires_grad_(), images(IMAGES, SIZE, seed=seed + 100)


@pytest.mark.skipif(not REASONED, reason="the tracer of torch 2.6 fails on losses")
@KINDS
def test_twelve_batches_take_one_graph_for_each_count(kind: str) -> None:
    """And give what the same regions give in eager mode without padding, gradients included."""
    graphs = 0

    def counter(graph: torch.fx.GraphModule, _: object) -> Callable[..., Any]:
        nonlocal graphs
        graphs += 1
        return graph.forward

    torch.compiler.reset()
    loss = loss_of(kind)
    compiled = torch.compile(loss, backend=counter, fullgraph=True)
    for seed in range(12):
        reconstruction, target = batch(seed)
        regions = drawn(kind, seed)
        value = loss(reconstruction, target, regions)
        wanted = torch.autograd.grad(value, reconstruction)[0]
        for call in (loss, compiled):
            padded = call(reconstruction, target, regions.padded((16,)))
            torch.testing.assert_close(padded, value, rtol=1e-10, atol=0)
            ours = torch.autograd.grad(padded, reconstruction)[0]
            torch.testing.assert_close(ours, wanted, rtol=1e-10, atol=1e-12)
    assert graphs == 1


class OfTensors(nn.Module):
    """What is exported takes tensors: those of regions of a count that is fixed."""

    def __init__(self, loss: RegionPerceptualLoss, kind: str) -> None:
        super().__init__()
        self.loss, self.kind = loss, kind

    def forward(self, reconstruction: Tensor, target: Tensor, tensors: dict[str, Tensor]) -> Tensor:
        regions = Regions(self.kind, image_size=SIZE, num_images=IMAGES, **tensors)
        return self.loss(reconstruction, target, regions)


@KINDS
@pytest.mark.skipif(not REASONED, reason="torch 2.6 exports no autocast contexts")
def test_an_exported_program_gives_the_same_loss(kind: str) -> None:
    def inputs(seed: int) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        regions = drawn(kind, seed).padded((16,))
        names = ("boxes", "image_index", "valid", "keypoints", "quads")
        tensors = {name: value for name in names if (value := getattr(regions, name)) is not None}
        return images(IMAGES, SIZE, torch.float32, seed), images(IMAGES, SIZE, torch.float32, seed + 100), tensors

    model = OfTensors(loss_of(kind), kind)
    program = torch.export.export(model, inputs(0)).module()
    for seed in range(4):
        torch.testing.assert_close(program(*inputs(seed)), model(*inputs(seed)))
