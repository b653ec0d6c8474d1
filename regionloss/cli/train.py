"""`regionloss train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import InputError, expected
from .check import Overrides, RecipeName


def train(
    recipe: RecipeName,
    overrides: Overrides = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to; runs/NAME by default, or the folder resumed.")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Folder of an earlier run to go on from.")] = None,
) -> None:
    """Run a recipe's trainer."""
    from ..recipe.load import load_recipe
    from ..recipe.training import train as run

    if resume is not None and not resume.is_dir():
        raise InputError(expected("--resume", "the folder of an earlier run", f"'{resume}', which is none"))
    if out is not None and out != resume and occupied(out):
        advice = f"Choose another, delete it, or go on from it with --resume {out}."
        raise InputError(expected("--out", "an empty folder", f"'{out}', which has files", advice))
    loaded = load_recipe(recipe, overrides or ())
    run(loaded, out or resume or free_folder(loaded.path.stem), resume)


def free_folder(name: str) -> Path:
    """Return `runs/NAME`, or `runs/NAME-2` and so on where an earlier run has written."""
    folder, number = Path("runs") / name, 1
    while occupied(folder):
        number += 1
        folder = Path("runs") / f"{name}-{number}"
    return folder


def occupied(folder: Path) -> bool:
    """Whether there is something at `folder` that a run would write over."""
    return folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
