"""One picture of how strongly losses pull: a row each, a point an image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from insighttok_ref.calibration.measurement import Pulls
from insighttok_ref.calibration.proposal import Proposal

TITLES = {
    "norm": "gradient norm at the reconstruction",
    "inside": "RMS of the gradient inside regions",
    "last_layer": "gradient norm at the decoder's last layer",
}
COLOURS = {"loss": "#8a8f98", "rest": "#3c4048", "term": "#2a62a8"}


def plot(rows: Sequence[Pulls], proposals: Sequence[Proposal], field: str, reference: str, out: Path) -> None:
    """Write the picture.

    Args:
        rows: Rows that `measure` returned.
        proposals: A hollow mark shows each term at its proposed weight.
        field: Field of `Pull` that the proposal was made in.
        reference: Name of the loss that terms are made as strong as.
        out: Path of the picture.
    """
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.ticker import LogFormatter

    from regionloss.evaluation.report import STYLE

    fields = [what for what in TITLES if any(not math.isnan(row.quartiles(what).median) for row in rows)]
    weights = {proposal.name: proposal.weight for proposal in proposals}
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(2.2 + 3.9 * len(fields), 1.7 + 0.42 * len(rows)), layout="constrained")
        panels = figure.subplots(1, len(fields), squeeze=False, sharey=True)[0]
        for panel, what in zip(panels, fields, strict=True):
            for place, row in enumerate(rows):
                _row(panel, place, row, what, weights.get(row.name, math.nan))
            panel.set_title(TITLES[what] + (" *" if what == field else ""), fontsize=10.5)
            panel.set_xscale("log")
            panel.xaxis.set_major_formatter(LogFormatter())
            panel.xaxis.set_minor_formatter(LogFormatter())
        panels[0].set_yticks(range(len(rows)), [f"{row.name} ({len(row.found)})" for row in rows])
        panels[0].invert_yaxis()
        figure.suptitle(f"* weights make it as strong as {reference}", fontsize=9.5, x=0.01, ha="left")
        marks = [
            ("o", "at weight 1: median, quartiles, images", COLOURS["term"]),
            ("D", "at the proposed weight", "none"),
        ]
        handles = [
            Line2D([], [], marker=shape, linestyle="", color=COLOURS["term"], markerfacecolor=fill, label=label)
            for shape, label, fill in marks
        ]
        figure.legend(handles=handles, loc="outside lower left", ncols=2, frameon=False)
        figure.savefig(out, dpi=130)


def _row(panel: Any, place: int, row: Pulls, what: str, weight: float) -> None:
    values = [value for pull in row.found if (value := getattr(pull, what)) > 0]
    median, low, high = row.quartiles(what)
    if not values or math.isnan(median):
        return
    colour = COLOURS[row.group]
    panel.plot(values, [place] * len(values), "|", color=colour, alpha=0.35, markersize=9)
    panel.plot([low, high], [place, place], color=colour, linewidth=2.5, alpha=0.8)
    panel.plot([median], [place], "o", color=colour, markersize=6)
    if row.group == "term" and weight > 0:
        panel.plot([median * weight], [place], "D", color=colour, markerfacecolor="none", markersize=6)
