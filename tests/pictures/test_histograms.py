"""Histograms: names that users chose are drawn as text."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib import rc_context

from regionloss.data.sidecars.stats import Tally
from regionloss.pictures.histograms import plot


@pytest.mark.parametrize("kind", ["$x^$", "_hidden"])
def test_a_kind_s_name_is_drawn_as_text(kind: str, tmp_path: Path) -> None:
    tally = Tally(64)
    region = {"kind": kind, "box": [0.1, 0.1, 0.5, 0.5], "score": 0.5}
    tally.add({"scans": [], "regions": [region], "width": 200, "height": 100})
    with rc_context({"svg.fonttype": "none"}):
        plot(tally, tmp_path / "stats.svg")
    drawing = (tmp_path / "stats.svg").read_text(encoding="utf-8")
    assert f">'{kind}' (1)<" in drawing
    assert "mathdefault" not in drawing
