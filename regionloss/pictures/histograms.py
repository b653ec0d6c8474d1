"""Histograms of the regions of side-cars."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from regionloss.data.sidecars.stats import Tally
from regionloss.pictures.boxes import PLAIN_TEXT


def plot(tally: Tally, out: Path) -> None:
    """Write histograms of area and score, a column each, a line of each kind."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(PLAIN_TEXT):
        figure = Figure(figsize=(12, 3.5), layout="constrained")
        _histograms(tally, figure)
        figure.savefig(out, dpi=120)


def _histograms(tally: Tally, figure: Any) -> None:
    from matplotlib.ticker import LogFormatter

    axes = figure.subplots(1, 3)
    areas, sides = np.logspace(-5, 0, 41), np.logspace(0, 3.5, 41)
    for kind in tally.kinds:
        label = f"'{kind}' ({len(tally.areas[kind])})"  # matplotlib hides labels that begin with _
        axes[0].hist(tally.areas[kind], bins=areas, histtype="step", label=label)
        axes[1].hist(tally.sides[kind], bins=sides, histtype="step", label=label)
        axes[2].hist(tally.scores[kind], bins=np.linspace(0, 1, 41), histtype="step", label=label)
    for ax, name in zip(axes, ("share of the image's area", "shorter side, pixels", "score"), strict=True):
        ax.set_xlabel(name)
        ax.set_ylabel("regions")
    for ax in axes[:2]:
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(LogFormatter())
        ax.xaxis.set_minor_formatter(LogFormatter())
    axes[0].legend()
