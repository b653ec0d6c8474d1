"""Loss curves as drawings inside the page."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from regionloss.pictures.boxes import PLAIN_TEXT

START = "#a9aeb6"
#: Colours of tokenizers by their place on the page (its style sheet has the same, and lighter ones for the dark).
ARMS = ("#2a62a8", "#c2570c", "#0f766e", "#6d28d9", "#be185d", "#7a6a00", "#0e7490", "#9f1239")
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


@dataclass(frozen=True)
class Curves:
    """Losses during training, as a run logs them.

    Args:
        records: Records of metrics.jsonl.
        arms: Names of tokenizers by the part of the run that trained them, in the order of the page's results.
        start: Part that all of them began from; None where there was none.
    """

    records: Sequence[Mapping[str, Any]]
    arms: Mapping[str, str]
    start: str | None = None

    @property
    def start_name(self) -> str | None:
        """Name of the part that all arms began from."""
        return None if self.start is None else self.start.rpartition("/")[2]

    @property
    def lines(self) -> list[tuple[str, str, str]]:
        """Part, name and colour of each line, the start first."""
        colours = [ARMS[i % len(ARMS)] for i in range(len(self.arms))]
        arms = [(part, name, colour) for (part, name), colour in zip(self.arms.items(), colours, strict=True)]
        return arms if self.start is None else [(self.start, self.start_name or "", START), *arms]


def loss_curves(curves: Curves) -> str:
    """Return one drawing (SVG) with a panel for each loss that the arms logged; empty where nothing was logged."""
    records = curves.records
    keys = loss_keys([record for record in records if record.get("part") in curves.arms])
    if not keys:
        return ""
    with matplotlib.rc_context(STYLE):
        rows = -(-len(keys) // 3)
        figure = Figure(figsize=(9.6, 2.5 * rows), layout="constrained")
        panels = figure.subplots(rows, 3, squeeze=False).flatten()
        offset = 1 + max((r["step"] for r in records if curves.start and r["part"] == curves.start), default=-1)
        shown: dict[str, Any] = {}
        for panel, key in zip(panels, keys, strict=False):
            panel.set_title(TITLES.get(key.removeprefix("loss/"), f"{key.removeprefix('loss/')} term"), fontsize=10.5)
            for part, name, colour in curves.lines:
                shift = 0 if part == curves.start else offset
                if line := draw(panel, points(records, part, key, shift), colour):
                    shown.setdefault(name, line)
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
