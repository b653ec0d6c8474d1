"""The few collectives that a codebook needs; with one process each is the identity."""

from __future__ import annotations

from datetime import timedelta

import torch
from torch import Tensor
from torch import distributed as dist


def rank_and_size() -> tuple[int, int]:
    """Return this process's rank and the number of processes (0 and 1 without a process group)."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


#: Longest time for which one rank waits for another in what may take long, such as counting millions of images.
PATIENCE = timedelta(hours=6)
_groups: dict[tuple[bool, bool], tuple[dist.ProcessGroup, dist.ProcessGroup]] = {}


def control_group(
    timeout: timedelta | None = None, *, patient: bool = False, beside: bool = False
) -> dist.ProcessGroup | None:
    """Return the ranks' group for what the host alone needs to know (gloo: no device is waited for); None alone.

    Every rank must call it at the same place the first time, since it is made then. A rank that ends is noticed at
    once, whatever the time: its connections break.

    Args:
        timeout: Longest time for which one rank waits for another, where the group is made.
        patient: Whether to return one whose ranks wait for hours instead.
        beside: Whether to return one for threads beside those that train, one thread a rank.
    """
    if rank_and_size()[1] == 1:
        return None
    world = dist.group.WORLD
    assert world is not None
    kind = (patient, beside)
    if kind not in _groups or _groups[kind][0] is not world:
        # The group of a world that is gone is void.
        made = dist.new_group(backend="gloo", timeout=PATIENCE if patient else timeout)
        assert not isinstance(made, int)  # every rank is a member
        _groups[kind] = (world, made)
    return _groups[kind][1]


def forget_control_group() -> None:
    """Let go of the groups of a world that ends: their threads must not outlive the interpreter."""
    _groups.clear()


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """Sum a tensor over all ranks, in place."""
    if rank_and_size()[1] > 1:
        dist.all_reduce(tensor)
    return tensor


def from_first_rank(tensor: Tensor) -> Tensor:
    """Replace a tensor, in place, by the first rank's."""
    if rank_and_size()[1] > 1:
        dist.broadcast(tensor, 0)
    return tensor


def counts_by_rank(*counts: int) -> list[list[int]]:
    """Return every rank's value of each count; only hosts talk, no device is waited for."""
    rank, size = rank_and_size()
    if size == 1:
        return [[count] for count in counts]
    table = torch.zeros(len(counts), size, dtype=torch.int64)
    table[:, rank] = torch.tensor(counts)
    dist.all_reduce(table, group=control_group())
    return table.tolist()


def rows_at(rows: Tensor, positions: Tensor, counts: list[int]) -> Tensor:
    """Return rows of the ranks' joint matrix (rank 0's rows first) without gathering it.

    Each rank fills in the rows it owns, zeros elsewhere, and the sum is exact: (len(positions), d) travels.

    Args:
        rows: (n, d) of this rank.
        positions: (m,) int64, rows of the joint matrix, equal on all ranks.
        counts: Number of rows n of every rank.
    """
    rank, size = rank_and_size()
    if size == 1:
        return rows[positions]
    local = positions - sum(counts[:rank])
    owned = (local >= 0) & (local < counts[rank])
    found = rows.new_zeros(len(positions), rows.shape[1])
    if counts[rank]:
        found = torch.where(owned[:, None], rows[local.clamp(0, counts[rank] - 1)], found)
    return sum_over_ranks(found)


def joint(values: Tensor, counts: list[int]) -> Tensor:
    """Return the concatenation (sum(counts),) of the ranks' vectors, rank 0's first."""
    rank, size = rank_and_size()
    if size == 1:
        return values
    whole = values.new_zeros(sum(counts))
    start = sum(counts[:rank])
    whole[start : start + counts[rank]] = values
    return sum_over_ranks(whole)
