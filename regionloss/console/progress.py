"""How far a count is that takes long: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich import filesize, progress
from rich.console import Console


class Progress:
    """Says how far a count is: as a bar while it is entered and a terminal shows it, else in lines.

    What takes less time than there is between two lines is not said.

    Args:
        what: Is counted, e.g. `"shards"`; a bar's title, and how a line begins.
        total: How many there are; None where that is not known yet.
        done: How many of them are done already.
        size: Whether bytes are counted.
        every: Seconds between two lines.
        console: Where to; standard error by default.

    Example:
        >>> import sys
        >>> from rich.console import Console
        >>> with Progress("shards", 3, done=1, every=0, console=Console(file=sys.stdout, width=80)) as shown:
        ...     shown.advance(note="7 images")
        shards: 2 of 3, 7 images
    """

    def __init__(
        self,
        what: str,
        total: int | None = None,
        *,
        done: int = 0,
        size: bool = False,
        every: float = 30.0,
        console: Console | None = None,
    ) -> None:
        self.what, self.total, self.done, self.size, self.every = what, total, done, size, every
        self.console, self.said = console or Console(stderr=True), time.monotonic()
        self.bar = progress.Progress(
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(),
            progress.DownloadColumn() if size else progress.MofNCompleteColumn(),
            progress.TextColumn("{task.fields[note]}", markup=False),
            progress.TimeElapsedColumn(),
            progress.TimeRemainingColumn(),
            console=self.console,
            transient=size,
            disable=not self.console.is_terminal,
        )
        self.task = self.bar.add_task(what, total=total, completed=done, note="")

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.bar.stop()

    def advance(self, count: int = 1, note: str = "") -> None:
        """Show that so many more are done; `note` stands beside the count."""
        self(self.done + count, note=note)

    def __call__(self, done: int, total: int | None = None, *, what: str = "", note: str = "") -> None:
        """Show how many are done.

        Args:
            done: Number that is done.
            total: Number that there is to do, where that has become known.
            what: Is counted from now on, if it is something else than before.
            note: Stands beside the count.
        """
        if what and what != self.what:
            self.what, self.total = what, None
            self.bar.reset(self.task, description=what)
        self.done, self.total = done, self.total if total is None else total
        self.bar.update(self.task, completed=done, total=self.total, note=note)
        if not self.bar.live.is_started and time.monotonic() - self.said >= self.every:
            self.said = time.monotonic()
            self.console.print(self.line(note), markup=False, highlight=False, soft_wrap=True)

    def line(self, note: str = "") -> str:
        """Return how far the count is as a line of text."""
        numbers = [self.done] if self.total is None else [self.done, self.total]
        return f"{self.what}: {' of '.join(filesize.decimal(n) if self.size else str(n) for n in numbers)}" + (
            f", {note}" if note else ""
        )
