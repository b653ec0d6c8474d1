"""How many threads a run computes with: those that other programs, and the container's limit, leave it."""

from __future__ import annotations

import math
import os
from pathlib import Path

import psutil
import torch

CHOSEN = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
#: Seconds; psutil takes a shorter look for one of a second, in which all cores are half busy at least.
LOOK = 1.0
GROUPS, MINE = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


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
    return before or max(1, round(min(quota(), quiet(torch.get_num_threads()))))


def quiet(cores: int) -> int:
    """Return how many of so many cores no other program uses now, one at least.

    What runs at a low priority gives way, unless this program runs at one too.
    """
    if cores == 1:
        return 1
    yields = psutil.Process().nice() <= 0
    used: list[float] = [
        100 - times.idle - getattr(times, "iowait", 0) - (getattr(times, "nice", 0) if yields else 0)
        for times in psutil.cpu_times_percent(LOOK, percpu=True)
    ]
    mine = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(len(used))
    return max(1, round(cores - sum(used[core] for core in mine if core < len(used)) / 100))


def quota(groups: Path = GROUPS, mine: Path = MINE) -> float:
    """Return how many cores the control groups of this process allow it; infinite without a limit, or off Linux.

    Args:
        groups: Where the control groups are mounted.
        mine: File that names those of this process: of version 2, or of version 1, a controller a line.
    """
    allowed = [math.inf]
    for line in mine.read_text(encoding="utf-8").splitlines() if mine.is_file() else ():
        _, controllers, path = line.split(":", 2)
        if not controllers or "cpu" in controllers.split(","):
            top = groups / "cpu" if controllers else groups
            # In a container the path is the host's, and its own group is what is mounted at the top.
            place = top / path.lstrip("/")
            allowed += [limit(folder) for folder in (place, *place.parents) if folder.is_relative_to(top)]
    return min(allowed)


def limit(group: Path) -> float:
    """Return how many cores one control group allows; infinite where it says nothing."""
    for names in (["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]):
        files = [group / name for name in names]
        if all(file.is_file() for file in files):
            most, period = " ".join(file.read_text(encoding="utf-8") for file in files).split()
            return math.inf if most in ("max", "-1") else int(most) / int(period)
    return math.inf
