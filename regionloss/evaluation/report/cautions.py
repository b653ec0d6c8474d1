"""What a reader must know before comparing: sentences for the top of the page."""

from __future__ import annotations

from collections.abc import Sequence

from regionloss.evaluation.report.columns import Row
from regionloss.evaluation.report.provenance import made_alike


def cautions(rows: Sequence[Row]) -> list[str]:
    """Return what keeps the tokenizers' numbers from being compared; empty where nothing does."""
    return [*other_data(rows), *other_settings(rows), *other_tools(rows)]


def other_data(rows: Sequence[Row]) -> list[str]:
    """Return a sentence where results are of different images."""
    by_data: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        by_data.setdefault((row.summary.data_identity, row.summary.data), []).append(row.name)
    if len({identity for identity, _ in by_data}) < 2:
        return []
    sets = "; ".join(f"{', '.join(names)}: '{data}' ({identity[:12]})" for (identity, data), names in by_data.items())
    return [
        "These results are of different data, so their numbers cannot be compared, and no differences are given "
        f"between them. {sets}."
    ]


def other_settings(rows: Sequence[Row]) -> list[str]:
    """Return a sentence where size groups were told apart in different ways."""
    settings: dict[int, list[str]] = {}
    for row in rows:
        settings.setdefault(row.summary.setting, []).append(row.name)
    if len(settings) < 2:
        return []
    said = "; ".join(f"{', '.join(names)} at {setting} px" for setting, names in settings.items())
    return [f"Size groups were told apart at different sides and cannot be compared: {said}."]


def other_tools(rows: Sequence[Row]) -> list[str]:
    """Return a sentence for each benchmark whose results were made with different tools, weights or pipelines."""
    names = dict.fromkeys(score.benchmark for row in rows for score in row.summary.scores)
    return [
        f"The results of '{name}' were made with different tools, weights or pipelines (the notes below its table "
        "say which): no differences are given."
        for name in names
        if not made_alike(rows, name)
    ]
