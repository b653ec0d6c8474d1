"""Two gloo ranks, one without regions, equal one process with both batches."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from tests.helpers import face_loss, face_regions, images, text_loss, text_regions


def gradient(model: nn.Module, x: Tensor, kind: str | None) -> Tensor:
    """One step of a one-layer `tokenizer` with its region term; returns the gradient of its weights."""
    loss, regions = {"text": (text_loss(), text_regions()), "face": (face_loss(), face_regions())}[kind or "text"]
    value = loss(model(x), x, regions if kind else None)
    value.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def layer() -> nn.Module:
    torch.manual_seed(0)
    return nn.Conv2d(3, 3, 3, padding=1).double()


def rank_main(rank: int, folder: str, kind: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    model = nn.parallel.DistributedDataParallel(layer())
    batch = images(6)[3 * rank : 3 * rank + 3]
    found = gradient(model, batch, kind if rank == 0 else None)
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.parametrize("kind", ["text", "face"])
def test_two_ranks_equal_one(kind: str, tmp_path: Path) -> None:
    torch.multiprocessing.start_processes(rank_main, (str(tmp_path), kind), nprocs=2, start_method="spawn")
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    joint = gradient(layer(), images(6), kind)
    torch.testing.assert_close(ranks[0], joint, atol=1e-14, rtol=1e-10)
    assert torch.equal(ranks[0], ranks[1])
    assert joint.abs().sum() > 0
