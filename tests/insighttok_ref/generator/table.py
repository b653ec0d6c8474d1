"""A model that is a table: what follows each beginning of a sequence, so that every sequence's probability is known."""

from __future__ import annotations

import torch
from torch import Tensor

K, N = 4, 6


class Table:
    """Logits mostly by the id before, a little by all ids before, as image tokens are."""

    def __init__(self, rows: int, sharp: float) -> None:
        generator = torch.Generator().manual_seed(7)
        self.by_last = torch.randn(K + 1, K, generator=generator) * sharp
        self.by_all = [torch.randn(K**n, K, generator=generator) * 0.4 for n in range(N)]
        self.seen, self.rows = torch.zeros(rows, 2 * N + 16, dtype=torch.long), rows

    def after(self, beginning: Tensor, length: int) -> Tensor:
        """Return what follows beginnings (B,) of a length, numbers to the base K."""
        last = beginning % K if length else torch.full_like(beginning, K)
        return (self.by_last[last] + self.by_all[length][beginning]).softmax(-1)

    def first(self) -> Tensor:
        return self.after(torch.zeros(self.rows, dtype=torch.long), 0)

    def __call__(self, ids: Tensor, starts: Tensor) -> Tensor:
        rows, places = torch.arange(self.rows)[:, None], starts[:, None] + torch.arange(ids.shape[1])
        self.seen[rows, places] = ids
        found = torch.full((*ids.shape, K), 1 / K)
        for length in range(1, N):
            row, at = torch.nonzero(places + 1 == length, as_tuple=True)
            found[row, at] = self.after(number(self.seen[row, :length]), length)
        return found

    def joint(self) -> Tensor:
        """Return the probability of every sequence, by its number."""
        found = torch.ones(1, dtype=torch.double)
        for length in range(N):
            found = (found[:, None] * self.after(torch.arange(K**length), length).double()).flatten()
        return found


def number(ids: Tensor) -> Tensor:
    """Return sequences (B, n) as numbers to the base K."""
    found = torch.zeros(len(ids), dtype=torch.long)
    for column in ids.T:
        found = found * K + column
    return found
