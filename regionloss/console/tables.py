"""Tables on a terminal, and whole lines where the output goes into a file or another command."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from regionloss.errors import InputError, expected

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


def print_rows(rows: Sequence[Mapping[str, object]], columns: Sequence[str], as_json: bool, as_csv: bool) -> bool:
    """Print rows by column as data, and return whether it was asked for; NaN is null in JSON, and nothing is in CSV.

    Args:
        rows: Rows; numbers are not rounded.
        columns: Heads of the CSV, of which rows may be none.
        as_json: Whether to print JSON.
        as_csv: Whether to print CSV.

    Raises:
        InputError: Both at once.
    """
    check_one_form(as_json, as_csv)
    plain = [{name: None if is_nan(value) else value for name, value in row.items()} for row in rows]
    if as_json:
        json.dump(plain, sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
    if as_csv:
        writer = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(plain)
    return as_json or as_csv


def check_one_form(as_json: bool, as_csv: bool) -> None:
    """Raise InputError for two forms at once, before a command does its work."""
    if as_json and as_csv:
        raise InputError(expected("--json, --csv", "one of them", "both"))


def is_nan(value: object) -> bool:
    """Return whether a value is a number that is none."""
    return isinstance(value, float) and math.isnan(value)


def counted(number: int, noun: str) -> str:
    """Return `1 region`, `2 regions`.

    Example:
        >>> counted(1, "region"), counted(0, "image")
        ('1 region', '0 images')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
