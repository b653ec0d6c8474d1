"""Wrapped losses in what training code does to them: DistributedDataParallel, torch.compile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

import regionloss as rl
from tests.helpers import images, text_regions
from tests.hosts.doubles import DOUBLES, LlamaGen
from tests.hosts.test_known_hosts import make_terms


def decoder() -> nn.Module:
    torch.manual_seed(0)
    return nn.Conv2d(3, 3, 1)


def two_turns(model: nn.Module, loss: Any, x: Tensor, last: Tensor, regions: Any) -> list[Tensor]:
    """One step of LlamaGen's loop; returns the gradients of the decoder and of the discriminator."""
    call = DOUBLES["llamagen"].call
    y = model(x)
    with rl.use_regions(regions):
        call(loss, x, y, last, 0).backward(retain_graph=True)
        taken = [p.grad.clone() for p in model.parameters()]
        loss.zero_grad()
        call(loss, x, y, last, 1).backward()
    return [*taken, *[p.grad.clone() for p in loss.parameters() if p.grad is not None]]


def ranks(rank: int, folder: str, when: str, unused: bool) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    parallel = nn.parallel.DistributedDataParallel
    model, host = decoder(), LlamaGen()
    if when == "wrap first":
        loss = parallel(rl.wrap(host, "llamagen", make_terms()), find_unused_parameters=unused)
    else:
        inner = parallel(host, find_unused_parameters=unused)
        loss = rl.wrap(inner, "llamagen", make_terms())
        assert loss is inner
    assert loss.module.discriminator is host.discriminator
    x = images(6, dtype=torch.float32)[3 * rank : 3 * rank + 3]
    regions = text_regions(3) if rank == 0 else {"text": rl.Regions.empty("text", (40, 48), 3)}
    found = two_turns(parallel(model), loss, x, model.weight, regions)
    assert set(loss.module.last_logs) == {"region/text", "region/text_count", "region/total"}  # until the next turn
    torch.save((found, list(loss.state_dict())), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.parametrize(("when", "unused"), [("wrap first", False), ("wrap first", True), ("wrap last", False)])
def test_two_ranks_equal_the_mean_of_two_processes(when: str, unused: bool, tmp_path: Path) -> None:
    torch.multiprocessing.start_processes(ranks, (str(tmp_path), when, unused), nprocs=2, start_method="spawn")
    saved = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    alone = []
    for rank, regions in ((0, text_regions(3)), (1, None)):
        model, loss = decoder(), rl.wrap(LlamaGen(), "llamagen", make_terms())
        x = images(6, dtype=torch.float32)[3 * rank : 3 * rank + 3]
        alone.append(two_turns(model, loss, x, model.weight, regions))
    for ours, other, first, second in zip(saved[0][0], saved[1][0], *alone, strict=True):
        assert torch.equal(ours, other)
        torch.testing.assert_close(ours, (first + second) / 2)
    assert saved[0][1] == [f"module.{key}" for key in LlamaGen().state_dict()]


class Whole(nn.Module):
    """A model that calls its loss in its `forward`."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder = decoder()
        self.loss = rl.wrap(LlamaGen(), "llamagen", make_terms())

    def forward(self, x: Tensor) -> Tensor:
        return self.loss((x.new_zeros(()),) * 4, x, self.decoder(x), 0, 5)


@pytest.mark.parametrize("what", ["model", "loss", "decoder"])
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch.compile looks at it, with any loss
def test_it_survives_torch_compile(what: str) -> None:
    model, other = Whole(), Whole()
    if what == "model":
        compiled: Any = torch.compile(other, backend="aot_eager")
    else:
        compiled = other
        setattr(other, what, torch.compile(getattr(other, what), backend="aot_eager"))
    x = images(3, dtype=torch.float32)
    found = []
    for run in (model, compiled):
        for regions in (text_regions(), rl.Regions.empty("text", (40, 48), 3), None, text_regions(3)):
            with rl.use_regions(regions):
                run(x).backward()
        found.append([p.grad for p in (model if run is model else other).parameters() if p.grad is not None])
    assert len(found[0]) == 4
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert (compiled if what == "model" else other).loss.discriminator.weight.grad.abs().sum() > 0
