"""Scores as texts: percentages, decibels, infinity, intervals, each with the digits that it deserves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from regionloss.evaluation.results import Score, Summary

NOTHING = {"instance": "no instances", "image": "no images", "set": "not known"}


def rows(summary: Summary) -> list[list[str]]:
    """Return a row of texts for each score: measure, judge, group, value, interval, originals, count.

    A measure of which there is no score stands there with the reason.
    """
    found = [row(score, summary.measures.get(f"{score.benchmark}/{score.measure}", {})) for score in summary.scores]
    scored = {f"{score.benchmark}/{score.measure}" for score in summary.scores}
    absent = [measure for name, measure in summary.measures.items() if name not in scored]
    return found + [[str(one["title"]), "", "all", NOTHING[one["per"]], "", "", "0"] for one in absent]


def row(score: Score, measure: Mapping[str, Any]) -> list[str]:
    """Return a score as texts, as its measure says."""
    unit = str(measure.get("unit", ""))
    interval = ""
    if score.low is not None and score.high is not None:
        interval = f"{number(score.low, unit)} to {number(score.high, unit)}"
    ceiling = "" if score.ceiling is None else number(score.ceiling, unit)
    title = str(measure.get("title", score.measure))
    return [title, score.judge, score.group or "all", number(score.value, unit), interval, ceiling, str(score.count)]


def number(value: float, unit: str) -> str:
    """Return a number with its unit: a share as a percentage, infinity as its sign.

    Example:
        >>> number(0.1234, "%"), number(math.inf, "dB"), number(0.98765, "")
        ('12.34%', '∞ dB', '0.9877')
    """
    if unit == "%":
        return f"{100 * value:.2f}%"
    text = f"{value:.2f}" if unit else f"{value:.4f}"
    return (text if math.isfinite(value) else "∞" if value > 0 else "-∞") + (f" {unit}" if unit else "")
