"""The browser's data: every instance once, with what each tokenizer made of it and what each judge said."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from regionloss.evaluation.report.columns import Column, Row

#: Crops are kept in blocks of the page, which are taken apart when one of theirs is shown.
BLOCK = 100
META = (
    "key",
    "number",
    "kind",
    "box",
    "size",
    "group",
    "columns",
    "judge",
    "read",
    "original",
    "truth",
    "truth_from",
    "problem",
)
Key = tuple[str, str, int]


@dataclass
class Seen:
    """An instance of the page: its row, by tokenizer the number of its row in the table, by judge what was said."""

    row: Mapping[str, Any]
    places: dict[int, int] = field(default_factory=dict)
    said: dict[str, dict[int, Mapping[str, Any]]] = field(default_factory=dict)
    pictured: bool = False


@dataclass(frozen=True)
class Browser:
    """What the browser shows: plain data, crops in blocks (base64, one a line), and how many instances there are."""

    data: Mapping[str, Any]
    blocks: Sequence[str]
    shown: int
    total: int


def browser(rows: Sequence[Row], columns: Sequence[Column], most: int, told: Callable[[str], None]) -> Browser:
    """Return the browser's data.

    Args:
        rows: The tokenizers of the page, in its order.
        columns: What is measured.
        most: Most instances on the page.
        told: Called with a sentence for each table that cannot be read.
    """
    tables = {}
    for row in rows:
        try:
            tables[row.place] = row.results.instances
            tables[row.place].select([*META, "values", "target", "crop"])
        except Exception as error:  # of any kind: of a file that somebody else may have written
            tables.pop(row.place, None)
            told(f"No instances of {row.name} are shown, since they cannot be read ({error}).")
    seen = gathered(rows, tables)
    directions = {column.measure: column.about.higher_is_better for column in columns}
    chosen = chosen_ones(list(seen.values()), directions, most)
    measures = {c.measure: c for c in columns if c.about.per != "set"}
    crops = Crops(tables)
    entries = [entry(one, rows, list(measures), crops) for one in chosen]
    data = {
        "tokenizers": [{"name": row.name, "place": row.place} for row in rows],
        "measures": [
            {"name": n, "title": c.about.title, "unit": c.about.unit, "higher": c.about.higher_is_better}
            for n, c in measures.items()
        ],
        "instances": entries,
        "block": BLOCK,
    }
    return Browser(data, crops.blocks(), len(chosen), len(seen))


def gathered(rows: Sequence[Row], tables: Mapping[int, Any]) -> dict[Key, Seen]:
    """Return all instances by the data that they are of, image and number."""
    found: dict[Key, Seen] = {}
    for row in rows:
        if row.place not in tables:
            continue
        pictured = tables[row.place]["crop"].is_valid().to_pylist()
        for place, one in enumerate(tables[row.place].select([*META, "values"]).to_pylist()):
            seen = found.setdefault((row.summary.data_identity, one["key"], one["number"]), Seen(one))
            seen.places.setdefault(row.place, place)
            seen.pictured |= pictured[place]
            seen.said.setdefault(one["judge"] or "", {})[row.place] = one | {"values": dict(one["values"] or ())}
    return found


def chosen_ones(seen: list[Seen], directions: Mapping[str, bool], most: int) -> list[Seen]:
    """Return the instances that the page shows: of too many with pictures, of each kind its share."""
    if len(seen) > most:
        seen = [one for one in seen if one.pictured] or seen
    if len(seen) <= most:
        return seen
    share = most / len(seen)
    by_kind: dict[str, list[int]] = {}
    for place, one in enumerate(seen):
        by_kind.setdefault(one.row["kind"], []).append(place)
    ratings = [rating(one, directions) for one in seen]
    kept = [i for places in by_kind.values() for i in extremes(places, ratings, max(1, round(share * len(places))))]
    return [seen[i] for i in sorted(kept)]


def extremes(places: list[int], ratings: Sequence[tuple[float, float]], count: int) -> list[int]:
    """Return some places: the worst, the most different, and any, in turns."""
    worst = sorted(places, key=lambda i: ratings[i][0])
    different = sorted(places, key=lambda i: -ratings[i][1])
    even = [places[i * len(places) // count] for i in range(count)]
    kept = dict.fromkeys(i for three in zip(worst, different, even, strict=False) for i in three)
    return list(kept)[:count]


def rating(one: Seen, directions: Mapping[str, bool]) -> tuple[float, float]:
    """Return how good an instance came out, over all judges, measures and tokenizers, and how much these differ."""
    values: dict[tuple[str, str], list[float]] = {}
    for judge, by_row in one.said.items():
        for said in by_row.values():
            for measure, value in said["values"].items():
                if value is not None and math.isfinite(value) and measure in directions:
                    values.setdefault((judge, measure), []).append(value if directions[measure] else -value)
    spread = max((max(found) - min(found) for found in values.values()), default=0.0)
    every = [value for found in values.values() for value in found]
    return (sum(every) / len(every) if every else math.inf), spread


class Crops:
    """The crops that the page holds, each once.

    Args:
        tables: Tables of instances by tokenizer.
    """

    def __init__(self, tables: Mapping[int, Any]) -> None:
        self._columns = {
            place: {name: table.column(name).combine_chunks() for name in ("target", "crop")}
            for place, table in tables.items()
        }
        self._kept: list[str] = []

    def number(self, row: int, name: str, place: int) -> int:
        """Return the number of a crop; -1 where it was not kept."""
        content = self._columns[row][name][place].as_py()
        if not content:
            return -1
        self._kept.append(base64.b64encode(content).decode("ascii"))
        return len(self._kept) - 1

    def blocks(self) -> list[str]:
        """Return all crops, in blocks."""
        return ["\n".join(self._kept[i : i + BLOCK]) for i in range(0, len(self._kept), BLOCK)]


def entry(one: Seen, rows: Sequence[Row], measures: Sequence[str], crops: Crops) -> dict[str, Any]:
    """Return an instance as plain data; lists are by tokenizer, in the order of the rows."""
    first, place = next(iter(one.places.items()))
    size = one.row["size"]
    return {
        "key": one.row["key"],
        "owner": rows[first].owners.get(one.row["key"]),
        "number": one.row["number"],
        "kind": one.row["kind"],
        "box": [round(float(side), 1) for side in one.row["box"] or ()],
        "size": None if size is None or not math.isfinite(size) else round(size, 4),
        "group": one.row["group"],
        "columns": dict(one.row["columns"] or ()),
        "target": crops.number(first, "target", place),
        "crops": [
            crops.number(row.place, "crop", one.places[row.place]) if row.place in one.places else -1 for row in rows
        ],
        "said": [said_by(judge, by_row, rows, measures) for judge, by_row in one.said.items()],
    }


def said_by(
    judge: str, by_row: Mapping[int, Mapping[str, Any]], rows: Sequence[Row], measures: Sequence[str]
) -> dict[str, Any]:
    """Return what one judge said of an instance, of each tokenizer."""
    any_one = next(iter(by_row.values()))
    found = [by_row.get(row.place) for row in rows]
    names = [name for name in measures if any(one and name in one["values"] for one in found)]
    return {
        "judge": judge,
        "truth": any_one["truth"],
        "original": any_one["original"],
        "guessed": any_one["truth_from"] == "judge",
        "read": [one and one["read"] for one in found],
        "problem": [(one and one["problem"]) or "" for one in found],
        "values": {name: [plain(one["values"].get(name)) if one else None for one in found] for name in names},
    }


def plain(value: float | None) -> float | str | None:
    """Return a value that JSON has: infinite ones as words, NaN as nothing."""
    if value is None or math.isnan(value):
        return None
    return float(f"{value:.4g}") if math.isfinite(value) else "∞" if value > 0 else "-∞"
