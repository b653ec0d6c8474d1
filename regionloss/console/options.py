"""Arguments and checks that commands share."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from regionloss.errors import InputError, expected

RecipeName = Annotated[str, typer.Argument(metavar="RECIPE", help="A file, or the name of a shipped recipe.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY.PATH=VALUE]...", help="Keys to change.", show_default=False),
]

PluginFiles = Annotated[list[Path] | None, typer.Option(exists=True, help="File of a plugin; repeatable.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, a list of rows, instead of a table.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")]


class Runner(enum.StrEnum):
    """Where shards are worked on."""

    local = "local"
    ray = "ray"
    slurm = "slurm"


RunnerName = Annotated[
    Runner, typer.Option("--engine", help="This machine, a Ray cluster, or a task of a Slurm array.")
]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1; auto takes what is there.")]
Task = Annotated[int | None, typer.Option(min=0, help="Number of this task, from 0; slurm knows it.")]
Tasks = Annotated[int | None, typer.Option(min=1, help="How many tasks share the shards; slurm knows it.")]
MaxPixels = Annotated[int, typer.Option(min=1, help="Most pixels of an image that is decoded.")]
#: Twice what Pillow warns of, as `regionloss.data.images` has it: options are read before anything heavy is imported.
MOST_PIXELS = 178_956_970


def with_folder(overrides: list[str] | None, out: Path | None) -> tuple[list[str], Path | None]:
    """Return the overrides of a recipe without `out=FOLDER`, which is the option `--out` in the words of the others.

    Raises:
        InputError: Two folders.
    """
    rest = [text for text in overrides or [] if not text.startswith("out=")]
    named = {Path(text.partition("=")[2]) for text in overrides or [] if text.startswith("out=")}
    folders = {*named, *([out] if out else [])}
    if len(folders) > 1 or Path() in named:
        got = " and ".join(sorted(f"'{folder}'" for folder in folders))
        raise InputError(expected("out", "one folder", got))
    return rest, next(iter(folders), None)


def check_suffix(out: Path) -> None:
    """Raise InputError for a picture that could not be written, before a command does its work."""
    from PIL import Image

    if out.suffix.lower() not in Image.registered_extensions():
        raise InputError(expected("--out", "a picture such as picture.png", f"'{out}'"))
