"""`regionloss tokenize`: the ids of images, with their captions, on disk."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from insighttok_ref.cli.checkpoint import Codebook
from insighttok_ref.cli.reconstruct import chosen
from regionloss.errors import InputError, expected

if TYPE_CHECKING:
    from insighttok_ref.tokens.stage import Tokenize, TokenStage
    from regionloss.data.annotate import Job

#: Exit status after Ctrl-C.
INTERRUPTED = 130


def tokenize(
    images: Annotated[list[str], typer.Argument(help="Tar shards ('laion/{00000..00999}.tar', s3://...) or folders.")],
    checkpoint: Annotated[Path, typer.Option(help="Tokenizer: ours, the published one, taming's or LlamaGen's.")],
    out: Annotated[str, typer.Option(help="Folder of the tokens: a pair of files for each shard.")],
    size: Annotated[int, typer.Option(min=1, help="Side of the middle square of images after resizing, pixels.")] = 256,
    batch: Annotated[int, typer.Option(min=1, help="Most images that the tokenizer sees at once.")] = 16,
    workers: Annotated[int, typer.Option(min=1, help="Processes, each with the tokenizer.")] = 1,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, cuda:1, ...; a GPU if there is one.", show_default=False)
    ] = None,
    task: Annotated[
        int | None, typer.Option(min=0, help="Number of this machine, from 0, where several share.")
    ] = None,
    tasks: Annotated[int | None, typer.Option(min=1, help="How many machines share the shards.")] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Also read a checkpoint that holds more than tensors; nothing is run.")
    ] = False,
    codebook: Codebook = None,
    max_pixels: Annotated[int, typer.Option(min=1, help="Most pixels of an image that is decoded.")] = 178_956_970,
) -> None:
    """Write the tokens of image shards or folders, and their captions, for a generator to learn from."""
    from insighttok_ref.tokens.stage import Tokenize
    from regionloss.data.annotate import share

    if not out:
        raise InputError(expected("--out", "a folder", "''"))
    if (task is None) != (tasks is None):
        raise InputError(expected("--task", "--task and --tasks together", "one of them"))
    jobs = jobs_in(images, out)
    if task is not None and tasks is not None:
        jobs = share(jobs, task, tasks)
    how = Tokenize(checkpoint, size, batch, str(chosen(device)), max_pixels=max_pixels, trust=trust, codebook=codebook)
    stage = how()
    todo = [job for job in jobs if not stage.finished(job)]
    if not todo:
        stage.close()
        typer.echo("The shard is done already." if len(jobs) == 1 else f"All {len(jobs)} shards are done already.")
        return
    follow(how, stage, jobs, todo, min(workers, len(todo)))


def jobs_in(images: list[str], out: str) -> list[Job]:
    """Return the jobs of patterns, with tokens where annotation has side-cars."""
    from insighttok_ref.tokens.files import SUFFIX
    from regionloss.data.annotate import jobs_of
    from regionloss.data.sidecars import sidecar_path

    ending = sidecar_path("", "0.tar").removeprefix("0")
    return [replace(job, target=job.target.removesuffix(ending) + SUFFIX) for job in jobs_of(images, out)]


def follow(how: Tokenize, stage: TokenStage, jobs: list[Job], todo: list[Job], workers: int) -> None:
    """Tokenize shards, show progress, and tell what came of it."""
    from regionloss.console import counted, print_table
    from regionloss.data.annotate import Following, run_apart, run_here
    from regionloss.data.shards import omissions

    shown = Following(len(jobs), len(todo))
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # as a scheduler ends a job
    try:
        if workers == 1:
            shown.follow(lambda tick: run_here(stage, todo, tick))
        else:
            stage.close()
            shown.follow(lambda tick: run_apart([replace(how, threads=1)] * workers, todo, tick))
    except KeyboardInterrupt:
        typer.echo(shown.stopped(), err=True)
        raise typer.Exit(INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGTERM, before)
    done, kept = shown.done - len(shown.failed), shown.shards - shown.todo
    rows = [["shards", f"{done} tokenized, {kept} done already, {len(shown.failed)} failed"]]
    rows += [["images", f"{shown.totals['images']}, {shown.totals['rows']} of them with tokens"]]
    rows += [[reason, f"{count}, named in the index"] for reason, count in sorted(shown.named.items())]
    rows += [["an image", f"{counted(stage.header.tokens, 'token')}, {stage.header.dtype.itemsize} bytes each"]]
    print_table("tokenized", ["", ""], rows)
    damage = [head.problem for head in shown.heads.values() if head.problem]
    for sentence in [*damage, *omissions(shown.heads)]:
        typer.echo(sentence)
    if shown.failed:
        raise typer.Exit(1)
