"""How many threads a run computes with: those that other programs leave free."""

from __future__ import annotations

import os

import psutil
import torch

CHOSEN = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
LOOK = 0.5  # seconds


def threads_for(asked: int | None, before: int | None) -> int:
    """Return the number of threads of a run.

    Two threads that must share a core wait for one another at each layer, and are slower than one.

    Args:
        asked: Number that the recipe asks for; None where it asks for none.
        before: Those of the run that goes on: other numbers add in another order, and give other last digits.
    """
    if asked is not None:
        return asked
    if any(os.environ.get(name) for name in CHOSEN):
        return torch.get_num_threads()
    return before or quiet(torch.get_num_threads())


def quiet(cores: int) -> int:
    """Return how many of so many cores no other program uses now, one at least."""
    if cores == 1:
        return 1
    used: list[float] = psutil.cpu_percent(LOOK, percpu=True)
    mine = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(len(used))
    return max(1, round(cores - sum(used[core] for core in mine if core < len(used)) / 100))
