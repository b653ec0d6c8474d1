"""The share of a task of a Slurm array: task k of n takes the shards k, k + n, k + 2 n, ..."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from regionloss.data.annotate.job import Job
from regionloss.errors import InputError, expected

ADVICE = "Submit an array, say 'sbatch --array=0-15', or say --task and --tasks."


def share(jobs: Sequence[Job], task: int, tasks: int) -> list[Job]:
    """Return the jobs of task `task` of `tasks`, counted from 0.

    Raises:
        InputError: No such task.
    """
    if tasks < 1 or not 0 <= task < tasks:
        raise InputError(expected("--task", f"a number from 0 to {tasks - 1}", str(task)))
    return list(jobs[task::tasks])


def task_of(environment: Mapping[str, str]) -> tuple[int, int]:
    """Return the number of this task, from 0, and how many there are, from what Slurm says.

    Raises:
        InputError: Not in an array, or in one with gaps: it cannot be known from there which shards are whose.
    """
    names = [f"SLURM_ARRAY_TASK_{name}" for name in ("ID", "COUNT", "MIN", "MAX", "STEP")]
    if missing := [name for name in names[:2] if name not in environment]:
        raise InputError(expected("--engine slurm", "the task of an array", f"no {missing[0]}", ADVICE))
    try:
        number, count = (int(environment[name]) for name in names[:2])
        low, step = int(environment.get(names[2], "0")), int(environment.get(names[4], "1"))
        high = int(environment.get(names[3], str(low + (count - 1) * step)))
    except ValueError as error:
        raise InputError(expected("--engine slurm", "numbers in SLURM_ARRAY_TASK_*", str(error), ADVICE)) from error
    if (high - low) // step + 1 != count or (number - low) % step:
        got = f"{count} tasks from {low} to {high}"
        advice = "Say --task and --tasks, as they were in the whole array."
        raise InputError(expected("--engine slurm", "an array without gaps", got, advice))
    return (number - low) // step, count
