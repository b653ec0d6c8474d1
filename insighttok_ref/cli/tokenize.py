"""`regionloss tokenize`: the ids of images, with their captions, on disk."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from insighttok_ref.cli.checkpoint import Codebook
from regionloss.console import Device, MaxPixels, Runner, RunnerName, Task, Tasks
from regionloss.errors import InputError, expected

if TYPE_CHECKING:
    from regionloss.data.annotate import Job


def tokenize(
    images: Annotated[list[str], typer.Argument(help="Tar shards ('laion/{00000..00999}.tar', s3://...) or folders.")],
    checkpoint: Annotated[Path, typer.Option(help="Tokenizer: ours, the published one, taming's or LlamaGen's.")],
    out: Annotated[str, typer.Option(help="Folder of the tokens: a pair of files for each shard.")],
    size: Annotated[int, typer.Option(min=1, help="Side of the middle square of images after resizing, pixels.")] = 256,
    batch: Annotated[int, typer.Option(min=1, help="Most images that the tokenizer sees at once.")] = 16,
    engine: RunnerName = Runner.local,
    workers: Annotated[int, typer.Option(min=0, help="Processes with the tokenizer; 0: one, or one a GPU.")] = 0,
    device: Device = "auto",
    task: Task = None,
    tasks: Tasks = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Also read a checkpoint that holds more than tensors; nothing is run.")
    ] = False,
    codebook: Codebook = None,
    max_pixels: MaxPixels = 178_956_970,
) -> None:
    """Write the tokens of image shards or folders, and their captions, for a generator to learn from."""
    from insighttok_ref.tokens.stage import Tokenize
    from regionloss.data.annotate import Executor

    if not out:
        raise InputError(expected("--out", "a folder", "''"))
    how = Tokenize(
        Path(os.path.abspath(checkpoint)), size, batch, max_pixels=max_pixels, trust=trust, codebook=codebook
    )
    shown = Executor(engine, workers, device, task, tasks).follow(how, jobs_in(images, out))
    if shown is None:
        return
    shown.summary("tokenized", "tokens", "the index", ["tokens of", *shown.does])
    for head in shown.heads.values():
        if head.problem:
            typer.echo(head.problem)
    if shown.failed:
        raise typer.Exit(1)


def jobs_in(images: list[str], out: str) -> list[Job]:
    """Return the jobs of patterns, with tokens where annotation has side-cars."""
    from insighttok_ref.tokens.files import SUFFIX
    from regionloss.data.annotate import jobs_of
    from regionloss.data.sidecars import sidecar_path

    ending = sidecar_path("", "0.tar").removeprefix("0")
    return [replace(job, target=job.target.removesuffix(ending) + SUFFIX) for job in jobs_of(images, out)]
