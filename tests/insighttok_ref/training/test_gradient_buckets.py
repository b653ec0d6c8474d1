"""Gradients that are averaged during the backward pass, against those of both ranks averaged afterwards."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch import distributed as dist

from insighttok_ref.training.engines import OptimizerOptions, PlainEngine
from insighttok_ref.training.gradient_buckets import GradientBuckets

LAYERS = 5
MICRO_BATCHES = 2
#: A bucket holds a layer; that of the first one, which has no bias, is not full.
FULL = 4 * 4 + 4


class Network(nn.Module):
    """Layers in a row, of which no input reaches the idle one."""

    def __init__(self, idle: int | None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.idle = idle
        self.layers = nn.ModuleList(nn.Linear(4, 4, bias=number > 0) for number in range(LAYERS))

    def forward(self, x: Tensor) -> Tensor:
        for number, layer in enumerate(self.layers):
            x = x if number == self.idle else layer(x)
        return x


def loss(net: Network, rank: int, number: int) -> Tensor:
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(10 * rank + number))
    return net(x).square().mean()


def averaged(rank: int, idle: int | None) -> tuple[Network, list[int]]:
    """Return a network with averaged gradients of a second step, and how many buckets the first layer's found sent."""
    net, begun = Network(idle), list[int]()
    net.layers[0].weight.register_post_accumulate_grad_hook(lambda _: begun.append(len(engine.buckets._sent)))
    engine = PlainEngine(net, OptimizerOptions(), MICRO_BATCHES)
    engine.buckets = GradientBuckets(engine.parameters, most=FULL)
    for step in range(2):
        if step:
            engine.step(0.0)
        for number in range(MICRO_BATCHES):
            engine.backward(loss(net, rank, number))
    engine.buckets.average()
    return net, begun


def by_hand(idle: int | None) -> list[Tensor | None]:
    """Return the mean of both ranks' gradients."""
    alone = [Network(idle) for _ in range(2)]
    for rank, net in enumerate(alone):
        for number in range(MICRO_BATCHES):
            (loss(net, rank, number) / MICRO_BATCHES).backward()
    pairs = zip(*(net.parameters() for net in alone), strict=True)
    return [None if one.grad is None else (one.grad + other.grad) / 2 for one, other in pairs]


def rank_main(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/group", rank=rank, world_size=2)
    # Of the last micro-batch all but the first layer's are under way; those behind the idle layer wait for the end.
    for idle, early in ((None, LAYERS - 1), (2, LAYERS - 3)):
        net, begun = averaged(rank, idle)
        assert begun == [0, early] * 2
        for mine, wanted in zip(net.parameters(), by_hand(idle), strict=True):
            assert (mine.grad is None) is (wanted is None)
            assert mine.grad is None or torch.equal(mine.grad, wanted)
    dist.destroy_process_group()


def test_it_averages_while_the_backward_pass_goes_on(tmp_path: Path) -> None:
    torch.multiprocessing.start_processes(rank_main, (str(tmp_path),), nprocs=2, start_method="spawn")


def test_a_bucket_is_full_with_64_mib_and_the_last_one_holds_what_is_left() -> None:
    weights = [nn.Parameter(torch.empty(size, device="meta")) for size in (2**23, 2**24, 5, 2**25, 2**23)]
    found = [[one.numel() for one in bucket] for bucket in GradientBuckets(weights).buckets]
    assert found == [[2**23, 2**25], [5, 2**24], [2**23]]
