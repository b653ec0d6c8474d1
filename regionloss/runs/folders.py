"""The folders that runs write to."""

from __future__ import annotations

from pathlib import Path

import typer

from regionloss.disk import written
from regionloss.errors import InputError, expected

AUTO = "auto"


def check_folders(out: Path | None, resume: Path | None) -> None:
    """Raise InputError where there is nothing to go on from, or where a run would write over another one."""
    if resume is not None and not resume.is_dir():
        raise InputError(expected("--resume", "the folder of an earlier run", f"'{resume}', which is none"))
    if out is not None and out != resume and occupied(out):
        advice = f"Choose another, delete it, or go on from it with --resume {out}."
        raise InputError(expected("--out", "an empty folder", f"'{out}', which has files", advice))


def folder_to_resume(resume: str | None, folder: Path | None) -> Path | None:
    """Return the folder to go on from: what was named, or for `auto` the run's own where it has begun.

    Args:
        resume: Path of a folder, or `auto`, so that one line is right for a run's start and for its restart.
        folder: Folder that the run writes to; None where it is not known yet.
    """
    if resume != AUTO:
        return None if resume is None else Path(resume)
    return folder if folder is not None and occupied(folder) else None


def free_folder(name: str) -> Path:
    """Return `runs/NAME`, or `runs/NAME-2` and so on where an earlier run has written."""
    folder, number = Path("runs") / name, 1
    while occupied(folder):
        number += 1
        folder = Path("runs") / f"{name}-{number}"
    if number > 1:
        typer.echo(f"{Path('runs') / name} has an earlier run, which stays: this one writes to {folder}.", err=True)
    return folder


def occupied(folder: Path) -> bool:
    """Whether there is something at `folder` that a run would write over: not what one leaves that was killed early."""
    return bool(written(folder)) if folder.is_dir() else folder.exists()
