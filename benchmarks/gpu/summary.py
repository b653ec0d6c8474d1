"""What is printed: a table for each part, and what was hoped for beside what was found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.gpu.setting import Row
from regionloss.console import print_table


def show(name: str, part: Mapping[str, Any]) -> None:
    """Print the rows of a part, and how it ended."""
    columns = list(dict.fromkeys(column for row in part["rows"] for column in row))
    print_table(
        f"{name}: {part['ended']}", columns, [[cell(row.get(column)) for column in columns] for row in part["rows"]]
    )
    print(flush=True)


def cell(value: object) -> str:
    """Return what stands in a table."""
    if value is None or value != value:
        return "-"
    if isinstance(value, float):
        return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3g}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def best(parts: Mapping[str, Any], names: tuple[str, ...], column: str, rows: str = "") -> float | None:
    """Return the largest number of a column, in rows whose names begin so; None where there is none."""
    found = [row for name in names for row in parts.get(name, {"rows": []})["rows"] if row["name"].startswith(rows)]
    return max((row[column] for row in found if isinstance(row.get(column), (int, float))), default=None)


def goals(parts: Mapping[str, Any]) -> list[Row]:
    """Return what was found for each goal, None for what was not measured."""
    step = best(parts, ("step", "compiled"), "tflops")
    alone = best(parts, ("convolutions",), "tflops", "convolutions")
    names = {row["name"]: row for row in parts.get("decoding", {"rows": []})["rows"]}
    rows = ("plain", "plain, compiled", "transformers", "reading the weights once")
    plain, compiled, theirs, floor = (names.get(name, {}).get("ms_a_token") for name in rows)
    tests = parts.get("tests", {"rows": []})["rows"]
    found = (
        (
            "the fastest step, of what its convolutions alone reach",
            step and alone and 100 * step / alone,
            "at least 55%",
        ),
        ("region terms, of the step", best(parts, ("table12",), "percent_of_total"), "at most 1%; the paper: 2.1%"),
        ("region terms, of memory", best(parts, ("table12",), "percent_of_memory"), "at most 1%; the paper: 0.6%"),
        ("loop / region terms, text", best(parts, ("terms",), "loop_by_ours", "text"), "20"),
        ("loop / region terms, face", best(parts, ("terms",), "loop_by_ours", "face"), "20"),
        ("marked tests that failed", sum(row["outcome"] == "failed" for row in tests) if tests else None, "0"),
        ("plain decoder / transformers", plain and theirs and plain / theirs, "at most 1"),
        ("plain decoder, compiled / reading the weights", compiled and floor and compiled / floor, "at most 1.3"),
    )
    return [{"name": name, "found": value, "goal": goal} for name, value, goal in found]
