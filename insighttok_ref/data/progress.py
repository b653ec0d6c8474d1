"""What the user sees while detectors look at a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from regionloss.data.annotating import Tick

LINES = 10


@contextmanager
def annotation_bar(console: Console | None = None) -> Iterator[Tick]:
    """Yield what shows how far annotation is: a bar in a terminal, ten lines elsewhere, nothing where nothing is done.

    Args:
        console: Where to print.
    """
    console = console or Console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("looking for regions", total=None, visible=False)

        def tick(done: int, of: int) -> None:
            bar.update(task, completed=done, total=of, visible=True)
            if not console.is_terminal and done * LINES // of > (done - 1) * LINES // of:
                console.print(f"looking for regions: {done} of {of} files", highlight=False)

        yield tick
