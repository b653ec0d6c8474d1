"""An optimizer's states by the names of their weights: shared out over ranks, and read back by any number of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from insighttok_ref.training.compat import broadcast_each


class WeightShares:
    """Which rank keeps the optimizer's state of which weights, and changes them: each of about as many numbers.

    Args:
        parameters: Weights that learn, in the same order on all ranks.
        ranks: Number of ranks.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], ranks: int) -> None:
        self.by_rank: list[list[nn.Parameter]] = [[] for _ in range(ranks)]
        held = [0] * ranks
        for one in sorted(parameters, key=lambda one: -one.numel()):  # the largest first, to whoever has least
            least = held.index(min(held))
            self.by_rank[least].append(one)
            held[least] += one.numel()

    def keep(self, optimizer: torch.optim.Optimizer, rank: int) -> None:
        """Leave an optimizer that has no states yet the weights of one rank alone."""
        mine = set(self.by_rank[rank])
        for group in optimizer.param_groups:
            group["params"] = [one for one in group["params"] if one in mine]

    def exchange(self) -> None:
        """Give every rank the weights that the others have changed."""
        for rank, parameters in enumerate(self.by_rank):
            broadcast_each([one.data for one in parameters], rank)


def names_in(optimizer: torch.optim.Optimizer, names: Mapping[nn.Parameter, str]) -> list[list[str]]:
    """Return the names of an optimizer's weights by its groups, in the order in which it numbers them."""
    return [[names[one] for one in group["params"]] for group in optimizer.param_groups]


def files_of(folder: Path, key: str) -> Sequence[Path]:
    """Return the files of a checkpoint that hold an engine's states: one with all, or each rank's."""
    whole = folder / f"{key}.pt"
    return [whole] if whole.is_file() else sorted(folder.glob(f"{key}-*.pt")) or [whole]


def by_name(saved: Mapping[str, Any], names: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Return what a file holds of each weight.

    Args:
        saved: An optimizer's `state_dict`, with the `names` of its weights by group where these are not all.
        names: The names of all weights that learn, by group.
    """
    known: dict[int, str] = {}
    for group, of_group in zip(saved["param_groups"], saved.get("names", names), strict=True):
        known |= zip(group["params"], of_group, strict=True)
    return {known[number]: state for number, state in saved["state"].items()}


def load_optimizer(optimizer: torch.optim.Optimizer, saved: Mapping[str, Any]) -> None:
    """Give an optimizer what its `state_dict` returned; of a file's tensors it keeps none, but copies."""
    optimizer.load_state_dict(dict(saved))
    for state in optimizer.state.values():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.device.type == "cpu":
                state[name] = value.clone()
