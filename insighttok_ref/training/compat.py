"""Private parts of torch: one kernel for many tensors, where a loop would launch one for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist

#: Bytes that are sent at once.
MOST = 2**26


def copy_each(targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    """Copy each source into its target, of the same shape, in place."""
    torch._foreach_copy_(list(targets), list(sources))


def lerp_each(starts: Sequence[Tensor], ends: Sequence[Tensor], weight: float) -> None:
    """Move each start, in place, by a share `weight` in [0, 1] of the way to its end, of the same shape."""
    torch._foreach_lerp_(list(starts), list(ends), weight)


def broadcast_each(tensors: Sequence[Tensor], rank: int) -> None:
    """Replace each tensor, in place, by that of a rank; many small ones travel as one."""
    private: Any = dist
    if tensors:
        private._broadcast_coalesced(dist.group.WORLD, list(tensors), MOST, rank)
