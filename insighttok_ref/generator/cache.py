"""Keys and values of earlier tokens, at fixed places."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class SlotCache:
    """A static cache in which each row writes to slots of its own.

    A slot that is written again forgets what was there: drafts that fell need not be removed, since no query looks past
    its own slot.

    Args:
        slots: Number L of slots of a row.

    Attributes:
        at: Slots (B, n) that the next forward writes to; the caller sets them.
        limit: How many slots its queries look at, from the first; all that holds anything lies before.
    """

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.at = torch.empty(0, 0, dtype=torch.long)
        self.limit = slots
        self.held: dict[int, tuple[Tensor, Tensor]] = {}

    def update(self, keys: Tensor, values: Tensor, layer: int, **options: Any) -> tuple[Tensor, Tensor]:
        """Write (B, heads, n, d) of a layer; return what its queries look at (B, heads, limit, d)."""
        if layer not in self.held:
            shape = (*keys.shape[:2], self.slots, keys.shape[-1])
            self.held[layer] = keys.new_zeros(shape), values.new_zeros(shape)
        rows = torch.arange(len(keys), device=keys.device)[:, None]
        for held, new in zip(self.held[layer], (keys, values), strict=True):
            held.transpose(1, 2)[rows, self.at] = new.transpose(1, 2)
        held_keys, held_values = self.held[layer]
        return held_keys[:, :, : self.limit], held_values[:, :, : self.limit]

    def mask(self, pads: Tensor) -> Tensor:
        """Return which slots (B, 1, n, limit) the next forward's queries look at: from a row's first to their own."""
        slots = torch.arange(self.limit, device=pads.device)
        own = self.at[..., None]
        seen = (slots <= own) & (slots >= pads[:, None, None])
        return (seen | (slots == own))[:, None]  # a query that looks at nothing gives NaN
