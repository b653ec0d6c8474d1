"""Differences between two tokenizers on the same instances, paired, with bootstrap over images, or their owners."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from regionloss.evaluation.metrics import Interval, bootstrap
from regionloss.evaluation.report.columns import Column, Row, number
from regionloss.evaluation.report.provenance import made_alike
from regionloss.evaluation.scores import owner_numbers

#: Tokenizers that a reader may choose to compare the others with, the first.
BASELINES = 5

T = TypeVar("T")
Values = dict[tuple[str, int], float]


@dataclass(frozen=True)
class Difference:
    """A mean difference with its interval; `verdict` is `better`, `worse`, or `noise` where the interval holds 0.

    `low` and `high` are empty where all is of one picture, and there is no interval.
    """

    text: str
    low: str
    high: str
    pairs: int
    verdict: str
    interval: Interval


@dataclass(frozen=True, eq=False)
class Comparison:
    """All tokenizers less one of them, column by column; None where the two do not pair."""

    baseline: Row
    columns: Sequence[Column]
    rows: Sequence[tuple[Row, Sequence[Difference | None]]]


def comparisons(rows: Sequence[Row], columns: Sequence[Column], tables: Tables) -> list[Comparison]:
    """Return how all tokenizers differ from each that may be the baseline.

    Args:
        rows: The tokenizers of the page, in its order.
        columns: What is measured.
        tables: Values of instances and images by tokenizer.
    """
    paired = [column for column in columns if column.about.per != "set" and made_alike(rows, column.benchmark)]

    @cache
    def between(first: int, second: int, column: Column) -> Difference | None:
        own, other = tables.values(rows[first], column), tables.values(rows[second], column)
        return difference(own, other, column, rows[first].owners)

    found = []
    for baseline in rows[:BASELINES]:
        others = [row for row in rows if row is not baseline and same_data(row, baseline)]
        lines = [(row, [between(row.place, baseline.place, column) for column in paired]) for row in others]
        kept = [i for i in range(len(paired)) if any(line[i] is not None for _, line in lines)]
        if kept:
            lines = [(row, [line[i] for i in kept]) for row, line in lines]
            found.append(Comparison(baseline, [paired[i] for i in kept], lines))
    return found


def same_data(first: Row, second: Row) -> bool:
    """Whether two results are of the same images."""
    return first.summary.data_identity == second.summary.data_identity


def difference(first: Values, second: Values, column: Column, owners: Mapping[str, str]) -> Difference | None:
    """Return the mean of `first - second` over what both have; None where they share nothing that is finite.

    Args:
        first: Values by image and instance.
        second: Values of the tokenizer that the first is compared with.
        column: What is measured.
        owners: What images were cut from, by key.
    """
    shared = [key for key in first if key in second and math.isfinite(first[key] - second[key])]
    if not shared:
        return None
    drawn = owner_numbers([image for image, _ in shared], owners)
    interval = bootstrap([first[key] - second[key] for key in shared], drawn.tolist())
    better = (interval.mean > 0) == column.about.higher_is_better
    verdict = "noise" if interval.low <= 0 <= interval.high else "better" if better else "worse"
    ends = (interval.low, interval.high)
    low, high = (column.text(end, change=True) if math.isfinite(end) else "" for end in ends)
    return Difference(column.text(interval.mean, change=True), low, high, len(shared), verdict, interval)


class Tables:
    """Values of instances and images by tokenizer, read once; what cannot be read is told and counts as nothing.

    Args:
        told: Called with a sentence for each table that cannot be read.
    """

    def __init__(self, told: Callable[[str], None]) -> None:
        self._told = told
        self._instances: dict[int, dict[tuple[str, str], Values]] = {}
        self._images: dict[int, dict[str, Values]] = {}

    def values(self, row: Row, column: Column) -> Values:
        """Return the values of a measure by image and instance (-1 for the image itself)."""
        if column.about.per == "instance":
            if row.place not in self._instances:
                self._instances[row.place] = self._read(row, "instances", by_judge, {})
            return self._instances[row.place].get((column.judge, column.measure), {})
        if row.place not in self._images:
            self._images[row.place] = self._read(row, "images", by_image, {})
        return self._images[row.place].get(column.measure, {})

    def _read(self, row: Row, what: str, read: Callable[[Row], T], instead: T) -> T:
        try:
            return read(row)
        except Exception as error:  # of any kind: of a file that somebody else may have written
            self._told(f"No differences of {row.name}, since its {what} cannot be read ({error}).")
            return instead


def by_judge(row: Row) -> dict[tuple[str, str], Values]:
    """Return the values of instances by judge and measure."""
    found: dict[tuple[str, str], Values] = {}
    table = row.results.instances.select(["key", "number", "judge", "values"])
    for one in table.to_pylist():
        for measure, value in dict(one["values"] or ()).items():
            if value is not None and not measure.startswith("original/"):
                found.setdefault((one["judge"] or "", measure), {})[one["key"], one["number"]] = value
    return found


def by_image(row: Row) -> dict[str, Values]:
    """Return the values of images by measure."""
    table = row.results.images
    keys = table.column("key").to_pylist()
    return {
        name: {
            (key, -1): float(value)
            for key, value in zip(keys, table.column(name).to_pylist(), strict=True)
            if value is not None
        }
        for name in table.column_names
        if name not in ("key", "height", "width", "columns") and str(table.schema.field(name).type) in FLOATS
    }


FLOATS = ("float", "double", "halffloat", "int64", "int32")


@dataclass(frozen=True)
class Conclusion:
    """What was found about a tokenizer beside the baseline, in a sentence that says how sure it is."""

    name: str
    baseline: str
    said: str


def findings(found: Sequence[Comparison], without: str | None = None) -> list[Conclusion]:
    """Return what was found of each tokenizer by the measures that people ask for first, each by one judge.

    Args:
        found: Comparisons with the baselines that findings are told of.
        without: Name of a tokenizer that nothing is told of.
    """
    return [
        Conclusion(row.name, one.baseline.name, sentence(row, one.baseline, column, difference))
        for one in found
        for row, line in one.rows
        for column, difference in zip(one.columns, line, strict=True)
        if difference is not None
        and row.name != without
        and column.measure in FIRST
        and column == next(other for other in one.columns if other.measure == column.measure)
    ]


def sentence(row: Row, baseline: Row, column: Column, found: Difference) -> str:
    """Return how one tokenizer differs from another by one measure."""
    unit = column.about.unit
    ended = {"%": "%", "": ""}.get(unit, f" {unit}")
    mine, theirs = (
        "no number" if score is None else f"{number(score.value, unit)}{ended}"
        for score in (column.score(row), column.score(baseline))
    )
    by = f" by {column.judge}" if column.judge else ""
    of = "images" if column.about.per == "image" else "instances"
    change = f"{found.text} {'points' if unit == '%' else unit}".strip()
    sure = f"95% interval {found.low} to {found.high}" if found.low else "of one picture, so there is no interval"
    return (
        f"{column.about.title}{by} {mine} against {theirs}; on the same {found.pairs:,} {of} {change} "
        f"({sure}){', within the noise of this test' if found.low and found.verdict == 'noise' else ''}."
    )


#: Measures that findings are told of.
FIRST = ("t_acc", "f_sim", "psnr_outside")
