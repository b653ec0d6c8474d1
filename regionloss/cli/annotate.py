"""`regionloss annotate`."""

from __future__ import annotations

import enum
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from regionloss.cli.detect import read_options
from regionloss.console.options import MOST_PIXELS, MaxPixels, PluginFiles
from regionloss.console.sentences import INTERRUPTED
from regionloss.errors import InputError, expected

if TYPE_CHECKING:
    import torch

    from regionloss.data.annotate.annotator import Annotate, Annotator
    from regionloss.data.annotate.job import Advance, Job, Report
    from regionloss.data.sidecars.sidecar import Scan

    Start = Callable[[Advance], Iterator[Report]]

MOST_DECODERS = 8


class Runner(enum.StrEnum):
    """Where shards are annotated."""

    local = "local"
    ray = "ray"
    slurm = "slurm"


def annotate(
    images: Annotated[list[str], typer.Argument(help="Tar shards ('laion/{00000..00999}.tar', s3://...) or folders.")],
    detectors: Annotated[str, typer.Option(help="Names with commas: of detectors, or of terms such as text,face.")],
    out: Annotated[str, typer.Option(help="Folder of side-cars; without it they stand beside the shards.")] = "",
    engine: Annotated[Runner, typer.Option(help="This machine, a Ray cluster, or a task of a Slurm array.")] = (
        Runner.local
    ),
    workers: Annotated[int, typer.Option(min=0, help="Processes with detectors; 0: one, or one a GPU.")] = 0,
    decoders: Annotated[int, typer.Option(min=0, help="Processes that decode, each worker's; 0: by processors.")] = 0,
    batch: Annotated[int, typer.Option(min=1, help="Most images of one size that a detector sees at once.")] = 16,
    max_side: Annotated[int, typer.Option(min=64, help="Longest side at which images are looked at, pixels.")] = 1600,
    max_pixels: MaxPixels = MOST_PIXELS,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1; auto takes what is there.")] = "auto",
    option: Annotated[list[str] | None, typer.Option(help="NAME.KEY=VALUE for a detector; repeatable.")] = None,
    plugin: PluginFiles = None,
    task: Annotated[int | None, typer.Option(min=0, help="slurm: number of this task, from 0.")] = None,
    tasks: Annotated[int | None, typer.Option(min=1, help="slurm: how many tasks there are.")] = None,
) -> None:
    """Run detectors over image shards or folders, and write what they find beside them."""
    from regionloss.data.annotate.annotator import Annotate
    from regionloss.data.annotate.detectors import resolve
    from regionloss.data.annotate.jobs import jobs_of

    names = [name.strip() for name in detectors.split(",") if name.strip()]
    plugins = tuple(os.path.abspath(file) for file in plugin or ())
    chosen = tuple(resolve(names, options_by_detector(option or [], names), plugins))
    jobs = mine(jobs_of(images, out), engine, task, tasks)
    check_writable({job.target for job in jobs})
    # Whatever this machine has, actors of Ray take a device where they are.
    devices = ["cpu"] if engine is Runner.ray else devices_of(device)
    spare = max(1, (os.cpu_count() or 1) // (workers or len(devices)) - 1)
    processes = decoders or min(spare, MOST_DECODERS)
    how = Annotate(chosen, plugins, max_side, batch, processes, devices[0], max_pixels=max_pixels)
    stage = how()
    todo = unfinished(stage, jobs)
    if not todo:
        stage.close()
        typer.echo("The shard is done already." if len(jobs) == 1 else f"All {len(jobs)} shards are done already.")
        return
    if engine is Runner.ray:
        start = on_ray(how, stage, todo, workers, decoders, device)
    else:
        start = on_this_machine(how, stage, todo, workers, devices)
    follow(start, len(jobs), len(todo))


def options_by_detector(given: Sequence[str], names: Sequence[str]) -> dict[str, dict[str, object]]:
    """Read `NAME.KEY=VALUE` options; the name may be left out where there is one detector."""
    options: dict[str, dict[str, object]] = {}
    for path, value in read_options(given).items():
        name, dot, key = path.rpartition(".")
        if not dot and len(names) != 1:
            raise InputError(expected("--option", "NAME.KEY=VALUE, as there are several detectors", f"'{path}'"))
        options.setdefault(name if dot else names[0], {})[key] = value
    return options


def mine(jobs: list[Job], engine: Runner, task: int | None, tasks: int | None) -> list[Job]:
    """Return the jobs of this task of a Slurm array; all of them on other engines."""
    from regionloss.data.annotate.run_slurm import share, task_of

    if (task is None) != (tasks is None):
        raise InputError(expected("--task", "--task and --tasks together", "one of them"))
    if task is not None and tasks is not None:
        return share(jobs, task, tasks)
    return share(jobs, *task_of(os.environ)) if engine is Runner.slurm else jobs


def check_writable(targets: Iterable[str]) -> None:
    """Raise InputError where side-cars could not be written, before a detector looks at anything."""
    from regionloss.data.shards.paths import is_local

    for folder in sorted({os.path.dirname(os.path.abspath(target)) for target in targets if is_local(target)}):
        there = Path(folder)
        while not there.exists():
            there = there.parent
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            got = f"'{there}', {'which cannot' if there.is_dir() else 'which is no folder'}"
            raise InputError(expected("--out", "a folder that can be written to", got, "Say another --out."))


def devices_of(device: str) -> list[str]:
    """Return the devices that are named, or that are there."""
    import torch

    graphics = torch.cuda.device_count()
    if device == "auto":
        return [f"cuda:{number}" for number in range(graphics)] or ["cpu"]
    kind = known_device(device)
    if kind.type == "cuda" and (kind.index or 0) >= graphics:
        raise InputError(expected("--device", "a device of this machine", f"'{device}'", "Say --device cpu."))
    return [device]


def known_device(device: str) -> torch.device:
    """Return what a name of a device stands for."""
    import torch

    try:
        return torch.device(device)
    except RuntimeError as error:
        raise InputError(expected("--device", "a device such as cpu or cuda:1", f"'{device}'")) from error


def unfinished(stage: Annotator, jobs: list[Job]) -> list[Job]:
    """Return the jobs that are still to be done."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(16) as pool:
        return [job for job, done in zip(jobs, pool.map(stage.finished, jobs), strict=True) if not done]


def on_this_machine(how: Annotate, stage: Annotator, jobs: list[Job], workers: int, devices: list[str]) -> Start:
    """Return what starts the processes of this machine."""
    from regionloss.data.annotate.run_local import run_apart, run_here

    count = min(workers or len(devices), len(jobs))
    if count == 1:
        return lambda tick: run_here(stage, jobs, tick)
    stage.close()
    threads = max(1, (os.cpu_count() or 1) // count) if devices == ["cpu"] else 0
    builds = [replace(how, device=devices[n % len(devices)], threads=threads) for n in range(count)]
    return lambda tick: run_apart(builds, jobs, tick)


def on_ray(how: Annotate, stage: Annotator, jobs: list[Job], workers: int, decoders: int, device: str) -> Start:
    """Return what starts the actors of a Ray cluster, which have other working directories than this process."""
    from regionloss.data.annotate.job import Job
    from regionloss.data.annotate.run_ray import run_on_ray
    from regionloss.data.shards.source import place_of

    stage.close()
    gpus = None
    if device != "auto":
        kind = known_device(device)
        gpus = kind.type == "cuda"
        if kind.index is not None:
            advice = "Ray says which GPU is whose."
            raise InputError(expected("--device", "auto, cpu or cuda with --engine ray", f"'{device}'", advice))
    placed = [Job(place_of(job.shard), place_of(job.target)) for job in jobs]
    build = There(how, stage.scans, decoders, device)
    return lambda tick: run_on_ray(build, placed, workers, (decoders or MOST_DECODERS) + 1, gpus)


@dataclass(frozen=True)
class There:
    """Makes the stage of a Ray actor on the actor's node, with the device and the processors that are there.

    Args:
        how: How shards are annotated.
        scans: What side-cars say of the detectors on the machine where the run was started.
        decoders: Processes that decode; 0 for as many as the processors serve.
        device: Device of the detectors; `auto` takes a GPU where the node has one.
    """

    how: Annotate
    scans: tuple[Scan, ...]
    decoders: int
    device: str

    def __call__(self, processors: int) -> Annotator:
        """Make the stage.

        Raises:
            InputError: The device is not there, or the detectors are others.
        """
        device = devices_of(self.device)[0]
        stage = replace(self.how, device=device, decoders=self.decoders or max(1, processors - 1))()
        for ours, theirs in zip(self.scans, stage.scans, strict=True):
            if ours != theirs:
                stage.close()
                wanted, got = (f"{one.detector} {one.version} {one.options} {one.weights}" for one in (ours, theirs))
                advice = "Install the same versions and weights on every node."
                raise InputError(expected("--engine ray", f"{wanted} as where it was started", got, advice))
        return stage


def follow(start: Start, shards: int, todo: int) -> None:
    """Show progress while reports arrive, and a summary at the end."""
    from regionloss.data.annotate.progress import Following

    shown = Following(shards, todo)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # as a scheduler ends a job
    try:
        shown.follow(start)
    except KeyboardInterrupt:
        typer.echo(shown.stopped(), err=True)
        raise typer.Exit(INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGTERM, before)
    shown.summary()
    if shown.failed:
        raise typer.Exit(1)
