"""Where jobs are done, as it was typed: on this machine, on a Ray cluster, a task's share of them under Slurm."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import torch
import typer

from regionloss.console.options import Runner
from regionloss.console.sentences import INTERRUPTED
from regionloss.data.annotate.job import Advance, Job, Report, Stage
from regionloss.data.annotate.progress import Following
from regionloss.data.annotate.run_local import run_apart, run_here
from regionloss.data.annotate.run_ray import run_on_ray
from regionloss.data.annotate.run_slurm import share, task_of
from regionloss.data.shards.paths import is_local
from regionloss.data.shards.source import place_of
from regionloss.errors import InputError, expected

Start = Callable[[Advance], Iterator[Report]]


class KnownStage(Stage, Protocol):
    """A stage that can be known again: by what it does, and by what it has done."""

    @property
    def does(self) -> tuple[str, ...]:
        """What it does, in words: two that say the same write the same."""
        ...

    def finished(self, job: Job) -> bool:
        """Whether a job is done already, by a stage that does the same."""
        ...


class StageOptions(Protocol):
    """How shards are worked on; calling it makes the stage. It is pickled on its way to other processes and nodes."""

    @property
    def processors(self) -> int:
        """Most processors that a process has use for."""
        ...

    def placed(self, device: str, processors: int, threads: int = 0) -> StageOptions:
        """Return the same for a process with this device and so many processors; threads are torch's, 0 for its own."""
        ...

    def __call__(self) -> KnownStage:
        """Make the stage."""
        ...


@dataclass(frozen=True)
class Executor:
    """Where jobs are done, as it was typed.

    Args:
        engine: This machine, a Ray cluster, or a task of a Slurm array.
        workers: Processes or actors; 0 leaves their number to what is there.
        device: Device of each; `auto` takes GPUs where there are some.
        task: Number of this task among several that share the jobs; None for all jobs, or for what Slurm says.
        tasks: How many tasks there are.
    """

    engine: Runner = Runner.local
    workers: int = 0
    device: str = "auto"
    task: int | None = None
    tasks: int | None = None

    def share(self, jobs: Sequence[Job]) -> list[Job]:
        """Return the jobs of this task; all of them where there are no tasks.

        Raises:
            InputError: No such task, or no array of Slurm.
        """
        if (self.task is None) != (self.tasks is None):
            raise InputError(expected("--task", "--task and --tasks together", "one of them"))
        if self.task is not None and self.tasks is not None:
            return share(jobs, self.task, self.tasks)
        return share(jobs, *task_of(os.environ)) if self.engine is Runner.slurm else list(jobs)

    def follow(self, options: StageOptions, jobs: Sequence[Job]) -> Following | None:
        """Do those jobs of this task that are not done yet, and show how far it is.

        Returns:
            What came of them; None where all were done already, which is said.

        Raises:
            InputError: The jobs cannot be done so, or not here.
            Exit: After Ctrl-C, or when a scheduler ends the job.
        """
        jobs = self.share(jobs)
        check_writable({job.target for job in jobs})
        # Whatever this machine has, actors of Ray take a device where they are.
        devices = ["cpu"] if self.engine is Runner.ray else devices_of(self.device)
        stage = options.placed(devices[0], processors_each(self.workers or len(devices)))()
        with ThreadPoolExecutor(16) as pool:
            todo = [job for job, done in zip(jobs, pool.map(stage.finished, jobs), strict=True) if not done]
        if not todo:
            stage.close()
            typer.echo("The shard is done already." if len(jobs) == 1 else f"All {len(jobs)} shards are done already.")
            return None
        shown, start = Following(len(jobs), len(todo), stage.does), self.started(options, stage, todo, devices)
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # as a scheduler ends a job
        try:
            shown.follow(start)
        except KeyboardInterrupt:
            typer.echo(shown.stopped(), err=True)
            raise typer.Exit(INTERRUPTED) from None
        finally:
            signal.signal(signal.SIGTERM, before)
        return shown

    def started(self, options: StageOptions, stage: KnownStage, jobs: Sequence[Job], devices: Sequence[str]) -> Start:
        """Return what starts processes or actors; a stage of this process serves where one is enough."""
        if self.engine is Runner.ray:
            stage.close()
            return self.on_ray(There(options, stage.does, self.device), jobs)
        count = min(self.workers or len(devices), len(jobs))
        if count == 1:
            return partial(run_here, stage, jobs)
        stage.close()
        processors = processors_each(count)
        threads = processors if list(devices) == ["cpu"] else 0
        builds = [options.placed(devices[number % len(devices)], processors, threads) for number in range(count)]
        return partial(run_apart, builds, jobs)

    def on_ray(self, build: There, jobs: Sequence[Job]) -> Start:
        """Return what starts the actors of a Ray cluster, which have other working directories than this process."""
        gpus = None
        if self.device != "auto":
            kind = known_device(self.device)
            gpus = kind.type == "cuda"
            if kind.index is not None:
                advice = "Ray says which GPU is whose."
                raise InputError(
                    expected("--device", "auto, cpu or cuda with --engine ray", f"'{self.device}'", advice)
                )
        placed = [Job(place_of(job.shard), place_of(job.target)) for job in jobs]
        return lambda tick: run_on_ray(build, placed, self.workers, build.options.processors, gpus)


@dataclass(frozen=True)
class There:
    """Makes the stage of a Ray actor on the actor's node, with the device and the processors that are there.

    Args:
        options: How shards are worked on.
        does: What the stage does on the machine where the run was started.
        device: Device of the actor; `auto` takes a GPU where the node has one.
    """

    options: StageOptions
    does: tuple[str, ...]
    device: str

    def __call__(self, processors: int) -> KnownStage:
        """Make the stage.

        Raises:
            InputError: The device is not there, or the stage does something else.
        """
        stage = self.options.placed(devices_of(self.device)[0], processors)()
        for ours, theirs in zip(self.does, stage.does, strict=True):
            if ours != theirs:
                stage.close()
                advice = "Install the same versions and weights on every node."
                raise InputError(expected("--engine ray", f"{ours} as where it was started", theirs, advice))
        return stage


def processors_each(count: int) -> int:
    """Return how many processors each of so many processes has on this machine."""
    return max(1, (os.cpu_count() or 1) // count)


def check_writable(targets: Iterable[str]) -> None:
    """Raise InputError where files could not be written, before anything is read."""
    for folder in sorted({os.path.dirname(os.path.abspath(target)) for target in targets if is_local(target)}):
        there = Path(folder)
        while not there.exists():
            there = there.parent
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            got = f"'{there}', {'which cannot' if there.is_dir() else 'which is no folder'}"
            raise InputError(expected("--out", "a folder that can be written to", got, "Say another --out."))


def devices_of(device: str) -> list[str]:
    """Return the devices that are named, or that are there."""
    graphics = torch.cuda.device_count()
    if device == "auto":
        return [f"cuda:{number}" for number in range(graphics)] or ["cpu"]
    kind = known_device(device)
    if kind.type == "cuda" and (kind.index or 0) >= graphics:
        raise InputError(expected("--device", "a device of this machine", f"'{device}'", "Say --device cpu."))
    return [device]


def known_device(device: str) -> torch.device:
    """Return what a name of a device stands for."""
    try:
        return torch.device(device)
    except RuntimeError as error:
        raise InputError(expected("--device", "a device such as cpu or cuda:1", f"'{device}'")) from error
