"""Tables on a terminal, and whole lines where the output goes into a file or another command."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # every command imports this room, and few print a table
    from rich.console import Console

WIDE = 240


def console() -> Console:
    """Return a console for standard output; wide where nobody looks, so that no cell is cut or folded."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else WIDE, highlight=False, soft_wrap=False)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under a title; cells are shown as they are, those of the first column unfolded where they fit."""
    from rich.markup import escape
    from rich.table import Table

    rows, screen = list(rows), console()
    # A column that is not wrapped is cut where it has no room.
    fits = max((len(row[0]) for row in rows), default=0) <= screen.width // 2
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, title_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=fits and number == 0)
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    screen.print(table)


def counted(number: int, noun: str) -> str:
    """Return `1 region`, `2 regions`.

    Example:
        >>> counted(1, "region"), counted(0, "image")
        ('1 region', '0 images')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
