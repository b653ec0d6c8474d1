"""What the page shows: tokenizers as rows, measures as columns, numbers as people write them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from regionloss.errors import InputError
from regionloss.evaluation.benchmarks.base import Measure
from regionloss.evaluation.results import Results, Score, Summary

MINUS = "−"
NOTHING, UNMEASURED = "no instances", "not measured"


@dataclass(frozen=True, eq=False)
class Row:
    """A tokenizer of the page: its name there, its place, which decides its colour, and its results."""

    name: str
    place: int
    results: Results

    @property
    def summary(self) -> Summary:
        """Scores and all that stands beside them."""
        return self.results.summary

    @property
    def owners(self) -> Mapping[str, str]:
        """What images were cut from, by key; nothing where that cannot be read: whoever needs the images says so."""
        try:
            return self.results.owners
        except InputError:
            return {}


@dataclass(frozen=True)
class Column:
    """A measure of a benchmark, as one judge gives it."""

    benchmark: str
    measure: str
    judge: str
    about: Measure

    def score(self, row: Row, group: str = "") -> Score | None:
        """Return the score of a tokenizer; None where it has none."""
        wanted = (self.benchmark, self.measure, self.judge, group)
        found = (s for s in row.summary.scores if (s.benchmark, s.measure, s.judge, s.group) == wanted)
        return next(found, None)

    def text(self, value: float, change: bool = False) -> str:
        """Return a value of it as text."""
        return number(value, self.about.unit, change)


def name_rows(results: Sequence[Results]) -> list[Row]:
    """Return the tokenizers with names that tell them apart: a name that two have is followed by their folder's."""
    taken = Counter(one.summary.name for one in results)
    names: dict[str, int] = {}
    rows = []
    for place, one in enumerate(results):
        name = one.summary.name or one.folder.name or "unnamed"
        name = f"{name} ({one.folder.name})" if taken[one.summary.name] > 1 and one.folder.name else name
        names[name] = names.get(name, 0) + 1
        rows.append(Row(f"{name} #{names[name]}" if names[name] > 1 else name, place, one))
    return rows


def find_columns(rows: Sequence[Row]) -> list[Column]:
    """Return every measure, benchmark after benchmark, by every judge that gave a score of it."""
    abouts = {name: about for row in reversed(rows) for name, about in row.summary.measures.items()}
    scored = [(s.benchmark, s.measure, s.judge) for row in rows for s in row.summary.scores]
    known = {(benchmark, name) for benchmark, name, _ in scored}
    asked = [tuple(name.split("/", 1)) for name in abouts if "/" in name]
    nobody = [(*pair, "") for pair in asked if pair not in known]  # of measures without instances
    benchmarks = list(dict.fromkeys(key[0] for key in [*(p for p in asked), *scored]))
    keys = dict.fromkeys([*scored, *nobody])
    return [
        Column(benchmark, name, judge, measure(name, abouts.get(f"{benchmark}/{name}", {})))
        for benchmark, name, judge in sorted(keys, key=lambda key: benchmarks.index(key[0]))
    ]


def measure(name: str, about: Mapping[str, Any]) -> Measure:
    """Return what results say of a measure; its bare name where they say nothing that fits."""
    known = {key: value for key, value in about.items() if key in Measure.__dataclass_fields__}
    return Measure(**({"title": name} | known))


def number(value: float, unit: str = "", change: bool = False) -> str:
    """Return a value as text, with the digits that it deserves; shares as percent, a change with its sign."""
    if math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    value = 100 * value if unit == "%" else value
    digits = 1 if unit == "%" else 2 if unit == "dB" else 3 if abs(value) < 10 else 1 if abs(value) < 1000 else 0
    return f"{value:{'+' if change else ''},.{digits}f}".replace("-", MINUS)


def fact(value: Any) -> str:
    """Return a fact of a tokenizer as text."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}" if math.isfinite(value) else number(value)
