"""`regionloss annotate`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Annotated

import typer

from regionloss.cli.detect import read_options
from regionloss.console.options import MOST_PIXELS, Device, MaxPixels, PluginFiles, Runner, RunnerName, Task, Tasks
from regionloss.errors import InputError, expected


def annotate(
    images: Annotated[list[str], typer.Argument(help="Tar shards ('laion/{00000..00999}.tar', s3://...) or folders.")],
    detectors: Annotated[str, typer.Option(help="Names with commas: of detectors, or of terms such as text,face.")],
    out: Annotated[str, typer.Option(help="Folder of side-cars; without it they stand beside the shards.")] = "",
    engine: RunnerName = Runner.local,
    workers: Annotated[int, typer.Option(min=0, help="Processes with detectors; 0: one, or one a GPU.")] = 0,
    decoders: Annotated[int, typer.Option(min=0, help="Processes that decode, each worker's; 0: by processors.")] = 0,
    batch: Annotated[int, typer.Option(min=1, help="Most images of one size that a detector sees at once.")] = 16,
    max_side: Annotated[int, typer.Option(min=64, help="Longest side at which images are looked at, pixels.")] = 1600,
    max_pixels: MaxPixels = MOST_PIXELS,
    device: Device = "auto",
    option: Annotated[list[str] | None, typer.Option(help="NAME.KEY=VALUE for a detector; repeatable.")] = None,
    plugin: PluginFiles = None,
    task: Task = None,
    tasks: Tasks = None,
) -> None:
    """Run detectors over image shards or folders, and write what they find beside them."""
    from regionloss.data.annotate.annotator import Annotate
    from regionloss.data.annotate.detectors import resolve
    from regionloss.data.annotate.executor import Executor
    from regionloss.data.annotate.jobs import jobs_of

    names = [name.strip() for name in detectors.split(",") if name.strip()]
    plugins = tuple(os.path.abspath(file) for file in plugin or ())
    chosen = tuple(resolve(names, options_by_detector(option or [], names), plugins))
    how = Annotate(chosen, plugins, max_side, batch, decoders, max_pixels=max_pixels)
    shown = Executor(engine, workers, device, task, tasks).follow(how, jobs_of(images, out))
    if shown is None:
        return
    shown.summary("annotated", "a row", "the stats")
    if shown.named["not looked at"]:
        typer.echo("What could not be looked at, the same command looks at again.")
    if shown.failed:
        raise typer.Exit(1)


def options_by_detector(given: Sequence[str], names: Sequence[str]) -> dict[str, dict[str, object]]:
    """Read `NAME.KEY=VALUE` options; the name may be left out where there is one detector."""
    options: dict[str, dict[str, object]] = {}
    for path, value in read_options(given).items():
        name, dot, key = path.rpartition(".")
        if not dot and len(names) != 1:
            raise InputError(expected("--option", "NAME.KEY=VALUE, as there are several detectors", f"'{path}'"))
        options.setdefault(name if dot else names[0], {})[key] = value
    return options
