"""Who judged, with what: tools, versions, weights and image pipelines beside every score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from regionloss.evaluation.report.columns import Column, Row


@dataclass(frozen=True)
class Note:
    """A numbered footnote: a judge (or the benchmark's own arithmetic) with what it is made of."""

    number: int
    judge: str
    lines: Sequence[tuple[str, str]]
    names: Sequence[str] = ()


def notes_of(benchmark: str, columns: Sequence[Column], rows: Sequence[Row], first: int) -> list[Note]:
    """Return the notes of a benchmark's columns, one for each judge and each way that results were made.

    Args:
        benchmark: Name of the benchmark.
        columns: Columns that it has.
        rows: The tokenizers of the page, in its order.
        first: Number of the first note.
    """
    notes: list[Note] = []
    for judge in dict.fromkeys(column.judge for column in columns):
        ways: dict[tuple[tuple[str, str], ...], list[str]] = {}
        for row in rows:
            if any(s.benchmark == benchmark and s.judge == judge for s in row.summary.scores):
                ways.setdefault(tuple(lines_of(row.summary.about.get(benchmark, {}), judge)), []).append(row.name)
        for lines, names in ways.items():
            notes.append(Note(first + len(notes), judge, lines, names if len(ways) > 1 else ()))
    return notes


def lines_of(about: Any, judge: str) -> Iterator[tuple[str, str]]:
    """Yield what is said of a judge, and of no other judge, as names and values.

    Args:
        about: Plain data, as a benchmark gives it.
        judge: Name of the judge; empty for what no judge gave.
    """
    judges = about.get("judges", {}) if isinstance(about, Mapping) else {}
    others = {name for name in judges if name != judge} if isinstance(judges, Mapping) else set()
    for path, value in flat(about):
        if not others.intersection(path):
            name = " ".join(part for part in path if part not in (judge, "judges"))
            yield name.replace("_", " ") or "about", value


def flat(about: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the paths and values of nested plain data."""
    if isinstance(about, Mapping):
        for name, value in about.items():
            yield from flat(value, (*path, str(name)))
    elif isinstance(about, list | tuple):
        yield path, ", ".join(map(str, about))
    elif about not in (None, ""):
        yield path, {True: "yes", False: "no"}[about] if isinstance(about, bool) else str(about)


def made_alike(rows: Sequence[Row], benchmark: str) -> bool:
    """Whether all results of a benchmark were made with the same tools, weights and pipelines."""
    asked = [row for row in rows if any(score.benchmark == benchmark for score in row.summary.scores)]
    return len({repr(sorted(flat(row.summary.about.get(benchmark, {})))) for row in asked}) < 2
