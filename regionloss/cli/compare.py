"""`regionloss compare`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from regionloss.errors import InputError, expected

if TYPE_CHECKING:
    from regionloss.evaluation.results import Results


def compare(
    results: Annotated[list[Path], typer.Argument(help="Folders of results, or folders that hold them: runs, too.")],
    out: Annotated[Path, typer.Option(help="Page to write.")] = Path("report.html"),
    baseline: Annotated[
        str, typer.Option(help="Name of the tokenizer that the others are compared with; the first without it.")
    ] = "",
    title: Annotated[str, typer.Option(help="Title of the page.")] = "",
    most: Annotated[
        int, typer.Option(min=1, help="Most instances on the page; all of them count in the tables.")
    ] = 5000,
) -> None:
    """Show results side by side on one page: tables, plots, and every instance to look at."""
    from regionloss.evaluation.report import write_report

    if out.is_dir() or out.suffix.lower() not in (".html", ".htm"):
        raise InputError(expected("--out", "a file that ends in .html", f"'{out}'"))
    found, left_out = read_all(results)
    for sentence in left_out:
        typer.echo(f"left out: {sentence}", err=True)
    if baseline:
        found = first_first(found, baseline)
    page = write_report(found, out, title=title or None, notes=[f"Left out: {one}" for one in left_out], most=most)
    typer.echo(f"report: {page}")


def read_all(paths: Sequence[Path]) -> tuple[list[Results], list[str]]:
    """Return the results in folders, each folder once, and a sentence for each that cannot be read.

    Args:
        paths: Folders of results, or folders that hold such folders at any depth.

    Raises:
        InputError: None can be read.
    """
    from regionloss.evaluation.results import read_results

    found: dict[Path, Results] = {}
    left_out = []
    for path in paths:
        for folder in folders(path):
            try:
                found.setdefault(folder.resolve(), read_results(folder))
            except InputError as error:
                left_out.append(str(error))
    if not found:
        raise InputError("\n".join(left_out))
    return list(found.values()), left_out


def folders(path: Path) -> list[Path]:
    """Return the folders of results in a path, in the order of their names; the path itself where there are none."""
    from regionloss.evaluation.results import INSTANCES

    return sorted(one.parent for one in path.rglob(INSTANCES)) or [path]


def first_first(results: Sequence[Results], name: str) -> list[Results]:
    """Return the results with those of a tokenizer at the head.

    Raises:
        InputError: None are of that tokenizer.
    """
    names = [one.summary.name for one in results]
    if name not in names:
        raise InputError(expected("--baseline", f"one of {', '.join(sorted(set(names)))}", f"'{name}'"))
    head = results[names.index(name)]
    return [head, *(one for one in results if one is not head)]
