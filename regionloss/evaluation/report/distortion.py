"""Rate and distortion: bits per pixel against what is still read and recognised, beside the published tokenizers."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from regionloss.evaluation.report.columns import Column, Row, number

WIDTH, HEIGHT = 640, 420
LEFT, RIGHT, TOP, BOTTOM = 52, 24, 18, 48
LABEL, LETTER, BOLD, LONGEST = 14, 6.3, 7.6, 28
#: Where a label may stand, the best first: how far from its point, how much lower, on which side.
PLACES = [
    (abs(drop) / 3 + far, drop, side)
    for far in (0, 30, 70)
    for drop in (0, -9, 9, -18, 18, -28, 28, -40, 40)
    for side in (1, -1)
]
Frame = tuple[float, float, float, float]


@dataclass(frozen=True)
class Label:
    """Where a name stands: its end (`start` or `end`) at x, its middle at y."""

    x: float
    y: float
    anchor: str

    def box(self, width: float) -> Frame:
        """Return the box of a name of a width."""
        left = self.x if self.anchor == "start" else self.x - width
        return (left, self.y - LABEL / 2, left + width, self.y + LABEL / 2)


@dataclass(frozen=True)
class Point:
    """A tokenizer on the plot, in units of the drawing; `place` is None for published ones."""

    name: str
    x: float
    y: float
    label: Label
    told: str
    place: int | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Plot:
    """A plot with the places of its ticks, all in units of the drawing."""

    title: str
    points: Sequence[Point]
    x_ticks: Sequence[tuple[float, str]]
    y_ticks: Sequence[tuple[float, str]]
    missing: Sequence[str]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


@dataclass(frozen=True)
class Mark:
    """A tokenizer in units of what was measured."""

    name: str
    bpp: float
    value: float
    place: int | None = None
    low: float | None = None
    high: float | None = None


@cache
def published() -> dict[str, Any]:
    """Return the published tokenizers with their source."""
    found: dict[str, Any] = json.loads(files("regionloss.evaluation.report").joinpath("published.json").read_text())
    return found


def plots(rows: Sequence[Row], columns: Sequence[Column]) -> list[Plot]:
    """Return a plot for each measure that published tokenizers have too, and each judge of it."""
    known = published()["measures"]
    drawn = (plot(rows, column) for column in columns if column.measure in known)
    return [one for one in drawn if one is not None]


def plot(rows: Sequence[Row], column: Column) -> Plot | None:
    """Return the plot of a measure by one judge; None where no tokenizer has both numbers."""
    marks, missing = [], []
    for row in rows:
        score = column.score(row, "size/mean") or column.score(row)
        bpp = row.summary.facts.get("bpp")
        if score is None or not math.isfinite(score.value):
            continue
        if not isinstance(bpp, int | float) or not math.isfinite(bpp):
            missing.append(row.name)
            continue
        marks.append(Mark(row.name, float(bpp), score.value, row.place, score.low, score.high))
    if not marks:
        return None
    theirs = [Mark(one["name"], one["bpp"], one[column.measure]) for one in published()["points"]]
    judge = f", by {column.judge}" if column.judge else ""
    return laid_out([*theirs, *marks], f"{column.about.title}{judge}", column.about.unit, missing)


def laid_out(marks: Sequence[Mark], title: str, unit: str, missing: Sequence[str]) -> Plot:
    """Return marks as points of a drawing, with labels that leave one another alone."""
    rates = [mark.bpp for mark in marks]
    x_ticks = ticks(min(rates) - 0.1 * (max(rates) - min(rates)), max(rates), "", 5)
    y_ticks = ticks(0.0, max(max(mark.value, mark.high or 0.0) for mark in marks), unit, 6)
    (x_low, _), (x_high, _) = x_ticks[0], x_ticks[-1]
    y_high = y_ticks[-1][0]

    def x(value: float) -> float:
        return round(LEFT + (WIDTH - RIGHT - LEFT) * (value - x_low) / (x_high - x_low), 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * max(value, 0.0) / y_high, 1)

    labels = placed([(x(mark.bpp), y(mark.value), width_of(mark)) for mark in marks])
    points = [
        Point(
            mark.name,
            x(mark.bpp),
            y(mark.value),
            label,
            f"{mark.name}: {number(mark.value, unit)}{unit} at {mark.bpp:.4g} bits per pixel",
            mark.place,
            *(None if end is None or not math.isfinite(end) else y(end) for end in (mark.low, mark.high)),
        )
        for mark, label in zip(marks, labels, strict=True)
    ]
    return Plot(title, points, [(x(v), t) for v, t in x_ticks], [(y(v), t) for v, t in y_ticks], missing)


def ticks(low: float, high: float, unit: str, count: int) -> list[tuple[float, str]]:
    """Return round values from below `low` to above `high`, some `count` of them, with their texts."""
    step = (high - low) / count if high > low else (abs(high) or 1.0) / count
    power = 10.0 ** math.floor(math.log10(step))
    step = next(power * n for n in (1, 2, 2.5, 5, 10) if power * n >= step)
    first, last = math.floor(max(low, 0.0) / step), math.ceil(high * 1.02 / step)
    scale = 100 if unit == "%" else 1
    return [(i * step, f"{i * step * scale:.6g}") for i in range(first, max(last, first + 1) + 1)]


def width_of(mark: Mark) -> float:
    """Return how wide a name is drawn, those of the page's own tokenizers bold; never narrower than it is."""
    return (LETTER if mark.place is None else BOLD) * min(len(mark.name), LONGEST)


def placed(points: Sequence[tuple[float, float, float]]) -> list[Label]:
    """Return a label for each point with a name of a width: beside it where there is room, else near it."""
    taken = [(x - 7, y - 7, x + 7, y + 7) for x, y, _ in points]
    found: list[Label] = []
    for x, y, width in reversed(points):
        tries = [Label(x + side * (11 + far), y + drop, "start" if side > 0 else "end") for far, drop, side in PLACES]
        label = next((one for one in tries if free(one.box(width), taken)), tries[0])
        taken.append(label.box(width))
        found.append(label)
    return found[::-1]


def free(box: Frame, taken: Sequence[Frame]) -> bool:
    """Whether a box lies in the drawing and on no other."""
    inside = box[0] >= LEFT and box[2] <= WIDTH - 4 and box[1] >= 0 and box[3] <= HEIGHT - BOTTOM + LABEL / 2
    return inside and not any(a < box[2] and b < box[3] and c > box[0] and d > box[1] for a, b, c, d in taken)
