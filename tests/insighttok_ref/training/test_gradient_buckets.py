"""Gradients that are averaged during the backward pass, against those of both ranks averaged afterwards."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch import distributed as dist

from insighttok_ref.training.engines import OptimizerOptions, PlainEngine
from insighttok_ref.training.gradient_buckets import GradientBuckets

LAYERS = 4
MICRO_BATCHES = 2


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(*(nn.Linear(4, 4) for _ in range(LAYERS)))


def loss(net: nn.Sequential, rank: int, number: int) -> Tensor:
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(10 * rank + number))
    return net(x).square().mean()


def rank_main(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/group", rank=rank, world_size=2)
    net = network()
    engine = PlainEngine(net, OptimizerOptions(), MICRO_BATCHES)
    engine.buckets = GradientBuckets(engine.parameters, most=4 * 4 + 4)
    begun: list[int] = []
    net[0].weight.register_post_accumulate_grad_hook(lambda _: begun.append(len(engine.buckets._sent)))
    for number in range(MICRO_BATCHES):
        engine.backward(loss(net, rank, number))
    assert begun[0] == 0
    assert begun[1] >= LAYERS - 1  # of the last micro-batch all but the first layer's are under way
    engine.buckets.average()
    alone = [network() for _ in range(2)]
    for other, model in enumerate(alone):
        for number in range(MICRO_BATCHES):
            (loss(model, other, number) / MICRO_BATCHES).backward()
    for mine, *theirs in zip(net.parameters(), *(model.parameters() for model in alone), strict=True):
        first, second = (one.grad for one in theirs)
        assert mine.grad is not None
        assert first is not None
        assert second is not None
        assert torch.equal(mine.grad, (first + second) / 2)
    dist.destroy_process_group()


def test_it_averages_while_the_backward_pass_goes_on(tmp_path: Path) -> None:
    torch.multiprocessing.start_processes(rank_main, (str(tmp_path),), nprocs=2, start_method="spawn")
