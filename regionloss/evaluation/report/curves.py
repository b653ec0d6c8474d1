"""Loss curves as drawings inside the page."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from regionloss.evaluation.report.data import ReportData
from regionloss.pictures.boxes import PLAIN_TEXT

START = "#a9aeb6"
ARMS = ("#2a62a8", "#c2570c", "#0f766e", "#6d28d9", "#be185d")
STYLE: dict[Any, Any] = {
    **PLAIN_TEXT,
    "svg.fonttype": "none",
    "svg.hashsalt": "regionloss",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#b6bac2",
    "axes.labelcolor": "#4a4f57",
    "xtick.color": "#4a4f57",
    "ytick.color": "#4a4f57",
    "axes.grid": True,
    "grid.color": "#eceef1",
    "axes.axisbelow": True,
}
TITLES = {"l1": "L1", "l2": "L2", "edges": "edges", "commitment": "commitment", "total": "total"}
SMOOTHED = 9


def colours(data: ReportData) -> dict[str, str]:
    """Return the colour of each arm by its name; the same in legends, tables and curves."""
    return {arm.name: ARMS[i % len(ARMS)] for i, arm in enumerate(data.arms)}


def loss_curves(data: ReportData) -> str:
    """Return one drawing (SVG) with a panel for each loss that the arms logged; empty where nothing was logged."""
    parts = [row for row in ([data.start] if data.start else []) + list(data.arms) if row.part]
    named = {row.part: row for row in parts}
    keys = loss_keys([record for record in data.metrics if record.get("part") in {arm.part for arm in data.arms}])
    if not keys:
        return ""
    with matplotlib.rc_context(STYLE):
        rows = -(-len(keys) // 3)
        figure = Figure(figsize=(9.6, 2.5 * rows), layout="constrained")
        panels = figure.subplots(rows, 3, squeeze=False).flatten()
        offset = 1 + max((r["step"] for r in data.metrics if data.start and r["part"] == data.start.part), default=-1)
        shown: dict[str, Any] = {}
        for panel, key in zip(panels, keys, strict=False):
            panel.set_title(TITLES.get(key.removeprefix("loss/"), f"{key.removeprefix('loss/')} term"), fontsize=10.5)
            for part, row in named.items():
                first = row is data.start
                colour = START if first else colours(data)[row.name]
                if line := draw(panel, points(data.metrics, part, key, 0 if first else offset), colour):
                    shown.setdefault(row.name, line)
        for panel in panels[len(keys) :]:
            panel.set_axis_off()
        for panel in panels[max(0, len(keys) - 3) : len(keys)]:
            panel.set_xlabel("step")
        # With names of their own, since matplotlib hides labels that begin with _.
        figure.legend([*shown.values()], [*shown], loc="outside upper left", ncols=len(shown), frameon=False)
        return to_svg(figure)


def loss_keys(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of losses in the records, the total first."""
    keys = dict.fromkeys(key for record in records for key in record if key.startswith("loss/"))
    return sorted(keys, key=lambda key: key != "loss/total")


def points(records: Sequence[Mapping[str, Any]], part: str, key: str, offset: int) -> tuple[list[int], list[float]]:
    """Return steps and values of one loss in one part."""
    found = [(r["step"] + offset, float(r[key])) for r in records if r.get("part") == part and key in r]
    return [step for step, _ in found], [value for _, value in found]


def draw(panel: Any, line: tuple[list[int], list[float]], colour: str) -> Any:
    """Draw a loss: single steps faintly, their running mean over them; return the latter, None of no steps."""
    steps, values = line
    if not steps:
        return None
    panel.plot(steps, values, color=colour, alpha=0.22, linewidth=0.8)
    (mean,) = panel.plot(steps, smoothed(values), color=colour, linewidth=1.7)
    if min(values) > 0:
        panel.set_yscale("log")
        panel.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        panel.yaxis.set_major_formatter("{x:g}")
        panel.yaxis.set_minor_formatter(NullFormatter())
    return mean


def smoothed(values: Sequence[float]) -> list[float]:
    """Return the mean of each value and its neighbours."""
    half = SMOOTHED // 2
    near = [values[max(0, i - half) : i + half + 1] for i in range(len(values))]
    return [sum(window) / len(window) for window in near]


def to_svg(figure: Figure) -> str:
    """Return a drawing as an element of the page."""
    stream = io.StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # text stays text: the browser has the fonts
        figure.savefig(stream, format="svg", metadata={"Date": None}, transparent=True)
    text = stream.getvalue()
    return text[text.index("<svg") :]
