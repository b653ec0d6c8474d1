"""What parts of a step keep: against closed forms, and against what a real forward pass saves on a CPU."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from regionloss.autoencoders.ledger import WORK, StepLedger


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.SiLU(), nn.Conv2d(8, 8, 3, stride=2), nn.GELU()
    )


def saved_bytes(module: nn.Module, x: Tensor) -> int:
    """Return the bytes of tensors that a real forward pass keeps, besides its weights and its input."""
    kept: dict[int, int] = {}
    known = {one.data_ptr() for one in [*module.parameters(), x]}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        result = module(x)
    kept[result.untyped_storage().data_ptr()] = result.untyped_storage().nbytes()
    return sum(kept.values())


def test_in_float32_it_is_what_a_real_forward_pass_keeps() -> None:
    module, x = network(), torch.randn(2, 3, 16, 16)
    ghost = copy.deepcopy(module).to("meta")
    with StepLedger(ghost.parameters(), bf16=False) as ledger:
        ledger.watch(ghost, "network")
        ledger.backward(ghost(x.to("meta")).square().sum())
    assert ledger.kept["network"] == saved_bytes(module, x)


def test_under_autocast_a_layer_keeps_input_and_weights_in_16_bits() -> None:
    module = nn.Sequential(nn.Linear(64, 32, bias=False, device="meta"), nn.Linear(32, 16, bias=False, device="meta"))
    with StepLedger(module.parameters(), bf16=True) as ledger:
        ledger.watch(module[0], "first")
        ledger.watch(module[1], "second")
        ledger.backward(module(torch.empty(100, 64, device="meta")).float().sum())
    # The first has no gradient to hand on: it keeps its input, cast, and not its weights; what it gives is the next's.
    assert ledger.kept == {"first": 2 * (100 * 64 + 100 * 32), "second": 2 * (32 * 16 + 100 * 16)}
    found = ledger.by_part()
    assert found[WORK] > 0
    assert sum(found.values()) == ledger.counted.most


def test_gradients_of_weights_are_forgotten_and_hooks_are_gone_afterwards() -> None:
    module = nn.Sequential(*(nn.Linear(512, 512, bias=False, device="meta") for _ in range(8)))
    with StepLedger(module.parameters(), bf16=False) as ledger:
        ledger.watch(module, "network")
        ledger.backward(module(torch.empty(4, 512, device="meta")).sum())
    one = 4 * 512 * 512
    assert ledger.by_part()[WORK] < 3 * one
    module(torch.empty(4, 512, device="meta")).sum().backward()
    assert all(weight.grad is not None for weight in module.parameters())


def test_parts_within_parts_have_their_own_and_the_first_backward_pass_closes_the_count() -> None:
    module, x = network().to("meta"), torch.empty(2, 3, 16, 16, device="meta")
    with StepLedger(module.parameters(), bf16=False) as ledger:
        ledger.watch(module, "network")
        ledger.watch(module[3], "last")
        ledger.backward(module(x).sum())
        before = ledger.by_part()
        module(x)
    assert before["last"] == 4 * 2 * 8 * 7 * 7
    assert {name: size for name, size in ledger.by_part().items() if name != WORK} == {
        name: size for name, size in before.items() if name != WORK
    }


@pytest.mark.parametrize("bf16", [True, False])
def test_bytes_grow_with_the_images(bf16: bool) -> None:
    def kept(images: int) -> int:
        module = network().to("meta")
        with StepLedger(module.parameters(), bf16) as ledger:
            ledger.watch(module, "network")
            ledger.backward(module(torch.empty(images, 3, 16, 16, device="meta")).sum())
        return ledger.kept["network"]

    assert kept(5) - kept(3) == kept(3) - kept(1)
