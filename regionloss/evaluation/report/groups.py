"""Scores by size group, and by columns of the data with the gap between their groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from regionloss.evaluation.report.columns import Column, Row
from regionloss.evaluation.report.tables import Cell, Scale, cell

SIZES = ("size/small", "size/medium", "size/large", "size/mean", "")
TITLES: Mapping[str, str] = {
    "size/small": "small",
    "size/medium": "medium",
    "size/large": "large",
    "size/mean": "mean of the three groups",
    "": "mean of all instances",
}
#: Values of a column of the data that are listed.
MOST = 40


@dataclass(frozen=True, eq=False)
class GroupTable:
    """One measure by group: a column for each group, with how many instances it has, tokenizers as rows."""

    column: Column
    groups: Sequence[tuple[str, str]]
    rows: Sequence[tuple[Row, Sequence[Cell]]]
    left_out: int = 0


def size_tables(rows: Sequence[Row], columns: Sequence[Column]) -> list[GroupTable]:
    """Return the measures that have scores by size."""
    sized = [column for column in columns if any(column.score(row, group) for row in rows for group in SIZES[:4])]
    return [group_table(column, rows, {group: TITLES[group] for group in SIZES}) for column in sized]


def column_tables(rows: Sequence[Row], columns: Sequence[Column]) -> dict[str, list[GroupTable]]:
    """Return, by column of the data, the measures that have scores by it."""
    groups: dict[str, dict[str, str]] = {}
    for row in rows:
        for score in row.summary.scores:
            name, equals, value = score.group.partition("=")
            if equals:
                groups.setdefault(name, {})[score.group] = value or "(empty)"
    found: dict[str, list[GroupTable]] = {}
    for name, titles in groups.items():
        shown = {**dict(list(titles.items())[:MOST]), f"{name}/gap": "gap between best and worst"}
        # One group alone is all instances.
        having = [c for c in columns if sum(any(c.score(row, group) for row in rows) for group in titles) > 1]
        found[name] = [group_table(column, rows, shown, len(titles) - MOST) for column in having]
    return found


def group_table(column: Column, rows: Sequence[Row], titles: Mapping[str, str], left_out: int = 0) -> GroupTable:
    """Return one measure by group, all cells on one scale."""
    scores = {row.place: [column.score(row, group) for group in titles] for row in rows}
    scale = Scale.of([score for line in scores.values() for score in line])
    having = [row for row in rows if any(score is not None for score in scores[row.place])]
    lines = [(row, [cell(score, column, row, scale) for score in scores[row.place]]) for row in having]
    counts = ["" if group.endswith("/gap") else count for group, count in zip(titles, counts_of(lines), strict=True)]
    return GroupTable(column, list(zip(titles.values(), counts, strict=True)), lines, max(0, left_out))


def counts_of(lines: Sequence[tuple[Row, Sequence[Cell]]]) -> list[str]:
    """Return how many instances each column of cells is about: `95`, or `86 to 95` where the tokenizers differ."""
    columns = [[one.count for one in column] for column in zip(*(cells for _, cells in lines), strict=True)]
    ends = [(min(column), max(column)) for column in columns]
    return [f"{high:,}" if low == high else f"{low:,} to {high:,}" for low, high in ends]
