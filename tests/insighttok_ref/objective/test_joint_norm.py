"""Batch norm over ranks against torch's own on the joint batch, and what a cut into micro-batches changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch import multiprocessing as mp

from insighttok_ref.objective.adversarial import AdversarialOptions, Adversary
from insighttok_ref.objective.joint_norm import JointBatchNorm

SIDE = 12


def images() -> tuple[Tensor, Tensor]:
    """Return 4 reconstructions and 4 targets, the later ones brighter: halves have other statistics."""
    made = torch.rand(2, 4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    made[:, 2:] *= 3
    return made[0], made[1]


def adversary(norm: str) -> Adversary:
    torch.manual_seed(0)
    made = Adversary(AdversarialOptions.model_validate({"ndf": 4, "layers": 2, "norm": norm, "lecam": 0})).double()
    for weight in made.parameters():
        weight.data.mul_(20)
    return made


def step(opponent: Adversary, parts: list[slice]) -> dict[str, Tensor]:
    """Return the losses of both players and their gradients, means over parts of the batch."""
    y, x = images()
    y.requires_grad_()
    found: dict[str, Tensor] = {}
    for name, loss in (
        ("theirs", lambda part: opponent.discriminator_loss(y[part], x[part]).total),
        ("ours", lambda part: opponent.generator_loss(y[part])),
    ):
        found[name] = sum(loss(part) / len(parts) for part in parts)  # type: ignore[assignment]
        found[name].backward()
    gradients = {f"weights/{name}": weight.grad for name, weight in opponent.named_parameters()}
    buffers = {name: value for name, value in opponent.named_buffers() if "running" in name}
    return {name: value.detach() for name, value in (found | gradients | buffers | {"images": y.grad}).items()}


def process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    torch.save(step(adversary("sync"), [slice(2 * rank, 2 * rank + 2)]), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_ranks_are_one_with_the_joint_batch(tmp_path: Path) -> None:
    """Values, gradients of both players and running averages, against `BatchNorm2d` on all four images."""
    mp.spawn(process, (str(tmp_path),), nprocs=2)
    one, other = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    whole = step(adversary("batch"), [slice(4)])
    assert any("running" in name for name in whole)
    for name, wanted in whole.items():
        mean = (one[name] + other[name]) / 2
        torch.testing.assert_close(mean, wanted, msg=lambda text, name=name: f"{name}: {text}")
        if "running" in name:
            assert torch.equal(one[name], other[name])
    halves = step(adversary("batch"), [slice(2), slice(2, 4)])
    assert not torch.allclose(halves["theirs"], whole["theirs"], rtol=1e-3)


def test_group_norm_is_the_same_however_the_step_is_cut() -> None:
    whole = step(adversary("group"), [slice(4)])
    for parts in ([slice(2), slice(2, 4)], [slice(n, n + 1) for n in range(4)]):
        for name, value in step(adversary("group"), parts).items():
            torch.testing.assert_close(value, whole[name])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_alone_it_is_torch_s_own(dtype: torch.dtype) -> None:
    ours, theirs = JointBatchNorm(3), nn.BatchNorm2d(3)
    x = torch.randn(2, 3, 4, 4, dtype=dtype)
    made: list[Any] = [norm(x) for norm in (ours, theirs)]
    assert made[0].dtype == dtype
    assert torch.equal(*made)
    assert torch.equal(ours.running_var, theirs.running_var)
    assert torch.equal(ours.eval()(x), theirs.eval()(x))
