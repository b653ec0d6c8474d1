"""The summary: a table for each benchmark, tokenizers as rows, measures as columns, intervals as whiskers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from regionloss.evaluation.report.columns import NOTHING, UNMEASURED, Column, Row
from regionloss.evaluation.report.provenance import Note, made_alike, notes_of
from regionloss.evaluation.results import Score


@dataclass(frozen=True)
class Whisker:
    """Where value, interval and ceiling lie on the track of a cell, percent of its width."""

    at: float
    low: float | None = None
    high: float | None = None
    ceiling: float | None = None


@dataclass(frozen=True)
class Cell:
    """A number of a table as text; `rank` is 1 for the best, 2 for the second, else 0."""

    text: str
    low: str = ""
    high: str = ""
    ceiling: str = ""
    count: int = 0
    rank: int = 0
    whisker: Whisker | None = None


@dataclass(frozen=True, eq=False)
class Table:
    """The scores of one benchmark, and the notes of its columns by the judge."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[tuple[Row, Sequence[Cell]]]
    notes: Sequence[Note]


def summary_tables(rows: Sequence[Row], columns: Sequence[Column]) -> list[Table]:
    """Return a table for each benchmark.

    Args:
        rows: The tokenizers of the page, in its order.
        columns: What is measured.
    """
    tables, first = [], 1
    for benchmark in dict.fromkeys(column.benchmark for column in columns):
        own = [column for column in columns if column.benchmark == benchmark]
        notes = notes_of(benchmark, own, rows, first)
        first += len(notes)
        ranked = comparable(rows, benchmark)
        by_column = [cells([column.score(row) for row in rows], column, rows, ranked) for column in own]
        lines = [(row, [found[i] for found in by_column]) for i, row in enumerate(rows)]
        tables.append(Table(benchmark, own, lines, notes))
    return tables


def comparable(rows: Sequence[Row], benchmark: str) -> bool:
    """Whether the best of a benchmark's numbers may be marked: all of the same images, judged alike."""
    return len({row.summary.data_identity for row in rows}) == 1 and made_alike(rows, benchmark)


def cells(scores: Sequence[Score | None], column: Column, rows: Sequence[Row], ranked: bool) -> list[Cell]:
    """Return the cells of one column, on one scale, the two best marked."""
    ranks = rank([there(score) for score in scores], column) if ranked else [0] * len(scores)
    scale = Scale.of(scores)
    return [cell(score, column, row, scale, place) for score, row, place in zip(scores, rows, ranks, strict=True)]


def cell(score: Score | None, column: Column, row: Row, scale: Scale, rank: int = 0) -> Cell:
    """Return one number as text, with its place on the scale."""
    value = there(score)
    if score is None or value is None:
        asked = f"{column.benchmark}/{column.measure}" in row.summary.measures
        return Cell(NOTHING if asked else UNMEASURED)
    low, high, ceiling = (
        "" if one is None or math.isnan(one) else column.text(one) for one in (score.low, score.high, score.ceiling)
    )
    return Cell(column.text(value), low, high, ceiling, score.count, rank, scale.whisker(score))


def there(score: Score | None) -> float | None:
    """Return the value of a score; None where there is none."""
    return None if score is None or math.isnan(score.value) else score.value


def rank(values: Sequence[float | None], column: Column) -> list[int]:
    """Return 1 for the best, 2 for the second best, else 0; what is shown as equal shares a rank, and one has none."""
    known = sorted({value for value in values if value is not None}, reverse=column.about.higher_is_better)
    places = {text: place for place, text in enumerate(dict.fromkeys(map(column.text, known)), 1)}
    if len(places) < 2:
        return [0] * len(values)
    found = [0 if value is None else places[column.text(value)] for value in values]
    return [place if place < 3 else 0 for place in found]


@dataclass(frozen=True)
class Scale:
    """The ends of a track: 0 and 1 for shares and likenesses, else what the numbers span and some air."""

    low: float
    high: float

    @classmethod
    def of(cls, scores: Sequence[Score | None]) -> Scale:
        """Return the scale of a column."""
        parts = [(s.value, s.low, s.high, s.ceiling) for s in scores if s is not None]
        numbers = [value for part in parts for value in part if value is not None and math.isfinite(value)]
        if not numbers:
            return cls(0.0, 0.0)
        low, high = min(numbers), max(numbers)
        if low >= 0 and high <= 1:
            return cls(0.0, 1.0)
        air = 0.15 * (high - low)
        return cls(low - air, high + air)

    def place(self, value: float | None) -> float | None:
        """Return where a value lies, percent; None where it lies nowhere."""
        if value is None or not math.isfinite(value) or self.high <= self.low:
            return None
        return round(100 * (value - self.low) / (self.high - self.low), 2)

    def whisker(self, score: Score) -> Whisker | None:
        """Return a score's place on the track; None where it has none."""
        at = self.place(score.value)
        return None if at is None else Whisker(at, *map(self.place, (score.low, score.high, score.ceiling)))
