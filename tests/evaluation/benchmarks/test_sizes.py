"""Size groups are half-open, as TokBench's are (its records: tests/cli/test_aggregate.py)."""

from __future__ import annotations

import math

import pytest

from regionloss.evaluation.benchmarks.sizes import size_group


@pytest.mark.parametrize(
    ("kind", "setting", "size", "group"),
    [
        ("text", 256, 0.0199, None),
        ("text", 256, 0.02, "small"),
        ("text", 512, 0.02, "medium"),
        ("text", 1024, 0.02, "large"),
        ("text", 1024, 0.005, "small"),
        ("face", 256, 0.0, "small"),
        ("face", 512, 0.2, "large"),
        ("face", 1024, 0.0999, "medium"),
        ("face", 256, 1.0, None),
        ("text", 256, math.nan, None),
        ("hand", 256, 0.5, None),
    ],
)
def test_groups(kind: str, setting: int, size: float, group: str | None) -> None:
    assert size_group(kind, size, setting) == group
