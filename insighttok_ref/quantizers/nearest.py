"""Nearest code and sums by code, without a one-hot matrix or a full distance matrix."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

# 16 MiB of distances at a time: small enough for a cache, large enough for a matmul.
SEARCH_ELEMENTS = 2**22


@torch.no_grad()
def nearest(tokens: Tensor, codes: Tensor) -> Tensor:
    """Return the index (n,) of the nearest code by squared distance, ties to the lowest.

    The distances (n, K) exist a slice at a time; |token|^2 is left out, it does not change the order.
    """
    squares = codes.square().sum(1)
    rows = max(1, SEARCH_ELEMENTS // len(codes))
    # One matrix for all slices: memory that is taken anew each time costs a fifth of the search.
    distances = codes.new_empty(min(rows, len(tokens)), len(codes))
    found = [
        torch.addmm(squares, part, codes.t(), alpha=-2, out=distances[: len(part)]).argmin(1)
        for part in tokens.split(rows)
    ]
    return torch.cat(found)


def add_rows(sums: Tensor, ids: Tensor, tokens: Tensor) -> None:
    """Add tokens (n, d) and a one for each into rows `ids` of sums (K, d + 1), in place."""
    ones = tokens.new_ones(len(tokens), 1)
    sums.index_add_(0, ids, torch.cat([tokens, ones], 1).to(sums.dtype))


def full_precision(device: torch.device) -> AbstractContextManager[Any]:
    """Switch autocast off; the meta device, used for counting, has none."""
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)
