"""`regionloss annotate`."""

from __future__ import annotations

import enum
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError, expected

if TYPE_CHECKING:
    from ..stages.annotate import Annotate, Annotator
    from ..stages.base import Job, Report, Tick

INTERRUPTED = 130


class Engine(enum.StrEnum):
    """Where shards are annotated."""

    local = "local"
    ray = "ray"
    slurm = "slurm"


def annotate(
    images: Annotated[list[str], typer.Argument(help="Tar shards ('laion/{00000..00999}.tar', s3://...) or folders.")],
    detectors: Annotated[str, typer.Option(help="Names with commas: of detectors, or of terms such as text,face.")],
    out: Annotated[str, typer.Option(help="Folder of side-cars; without it they stand beside the shards.")] = "",
    engine: Annotated[Engine, typer.Option(help="This machine, a Ray cluster, or a task of a Slurm array.")] = (
        Engine.local
    ),
    workers: Annotated[int, typer.Option(min=0, help="Processes with detectors; 0: one, or one a GPU.")] = 0,
    decoders: Annotated[int, typer.Option(min=0, help="Processes that decode, each worker's; 0: by processors.")] = 0,
    batch: Annotated[int, typer.Option(min=1, help="Most images of one size that a detector sees at once.")] = 16,
    max_side: Annotated[int, typer.Option(min=64, help="Longest side at which images are looked at, pixels.")] = 1600,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1; auto takes what is there.")] = "auto",
    option: Annotated[list[str] | None, typer.Option(help="NAME.KEY=VALUE for a detector; repeatable.")] = None,
    plugin: Annotated[list[Path] | None, typer.Option(help="File of a plugin; repeatable.")] = None,
    task: Annotated[int | None, typer.Option(min=0, help="slurm: number of this task, from 0.")] = None,
    tasks: Annotated[int | None, typer.Option(min=1, help="slurm: how many tasks there are.")] = None,
) -> None:
    """Run detectors over image shards or folders, and write what they find beside them."""
    from ..stages.annotate import Annotate
    from ..stages.naming import resolve
    from ..stages.sources import jobs_of

    names = [name.strip() for name in detectors.split(",") if name.strip()]
    plugins = tuple(str(file) for file in plugin or ())
    chosen = tuple(resolve(names, options_of(option or [], names), plugins))
    jobs = mine(jobs_of(images, out), engine, task, tasks)
    check_writable({job.target for job in jobs})
    devices = devices_of(device)
    count = workers or len(devices)
    spare = max(1, (os.cpu_count() or 1) // count - 1)
    how = Annotate(chosen, plugins, max_side, batch, decoders or min(spare, 8), devices[0])
    stage = how()
    todo = unfinished(stage, jobs)
    if not todo:
        stage.close()
        typer.echo(f"All {len(jobs)} shards are done already.")
        return
    follow(lambda tick: started(engine, how, stage, todo, workers, devices, tick), len(jobs), len(todo))


def options_of(given: Sequence[str], names: Sequence[str]) -> dict[str, dict[str, object]]:
    """Read `NAME.KEY=VALUE` options; the name may be left out where there is one detector."""
    from .detect import options_of as pairs

    options: dict[str, dict[str, object]] = {}
    for path, value in pairs(list(given)).items():
        name, dot, key = path.rpartition(".")
        if not dot and len(names) != 1:
            raise InputError(expected("--option", "NAME.KEY=VALUE, as there are several detectors", f"'{path}'"))
        options.setdefault(name if dot else names[0], {})[key] = value
    return options


def mine(jobs: list[Job], engine: Engine, task: int | None, tasks: int | None) -> list[Job]:
    """Return the jobs of this task of a Slurm array; all of them on other engines."""
    from ..stages.slurm import share, task_of

    if (task is None) != (tasks is None):
        raise InputError(expected("--task", "--task and --tasks together", "one of them"))
    if task is not None and tasks is not None:
        return share(jobs, task, tasks)
    return share(jobs, *task_of(os.environ)) if engine is Engine.slurm else jobs


def check_writable(targets: Iterable[str]) -> None:
    """Raise InputError where side-cars could not be written, before a detector looks at anything."""
    from ..data.paths import is_local

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
    try:
        kind = torch.device(device)
    except RuntimeError as error:
        raise InputError(expected("--device", "a device such as cpu or cuda:1", f"'{device}'")) from error
    if kind.type == "cuda" and (kind.index or 0) >= graphics:
        raise InputError(expected("--device", "a device of this machine", f"'{device}'", "Say --device cpu."))
    return [device]


def unfinished(stage: Annotator, jobs: list[Job]) -> list[Job]:
    """Return the jobs that are still to be done."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(16) as pool:
        return [job for job, done in zip(jobs, pool.map(stage.finished, jobs), strict=True) if not done]


def started(
    engine: Engine, how: Annotate, stage: Annotator, jobs: list[Job], workers: int, devices: list[str], tick: Tick
) -> Iterator[Report]:
    """Return the reports of jobs as they come from an engine."""
    from ..stages.local import run_apart, run_here
    from ..stages.ray import run_on_ray

    if engine is Engine.ray:
        stage.close()
        shown = "cuda" if devices[0].startswith("cuda") else devices[0]
        return run_on_ray(replace(how, device=shown), jobs, workers, how.decoders + 1)
    count = min(workers or len(devices), len(jobs))
    if count == 1:
        return run_here(stage, jobs, tick)
    stage.close()
    threads = max(1, (os.cpu_count() or 1) // count) if devices == ["cpu"] else 0
    builds = [replace(how, device=devices[n % len(devices)], threads=threads) for n in range(count)]
    return run_apart(builds, jobs, tick)


def follow(start: Callable[[Tick], Iterator[Report]], shards: int, todo: int) -> None:
    """Show how far the reports are; say at the end what came of it."""
    from .following import Following

    shown = Following(shards, todo)
    try:
        shown.follow(start)
    except KeyboardInterrupt:
        typer.echo(shown.stopped(), err=True)
        raise typer.Exit(INTERRUPTED) from None
    shown.summary()
    if shown.failed:
        raise typer.Exit(1)
