"""Loss curves: a panel for each loss, whatever it is called."""

from __future__ import annotations

import html

import pytest

from regionloss.evaluation.report import Curves
from regionloss.evaluation.report.curves import loss_curves, smoothed

ARMS = {"arms/control": "control", "arms/ours": "ours"}


def records() -> list[dict[str, object]]:
    before = [{"part": "base", "step": i, "loss/total": 1 / (i + 1), "loss/text": 2.0} for i in range(20)]
    arms = [
        {"part": part, "step": i, "loss/total": 0.05 + i, "loss/text": 1.0, "lr": 1e-3}
        for part in ARMS
        for i in range(10)
    ]
    return [*before, *arms, {"part": "arms/ours", "step": 0, "gradient_at_start/text": 3.0}]


def test_curves_have_a_panel_for_each_loss_that_arms_logged() -> None:
    drawing = loss_curves(Curves(records(), ARMS, "base"))
    assert drawing.startswith("<svg")
    assert all(word in drawing for word in ("text term", "total", "control", "ours", "base"))
    assert "gradient_at_start" not in drawing
    assert drawing == loss_curves(Curves(records(), ARMS, "base")), "the same numbers give the same file"
    assert loss_curves(Curves((), ARMS)) == ""


def test_smoothing_is_a_mean_of_neighbours() -> None:
    assert smoothed([1.0] * 30) == pytest.approx([1.0] * 30)
    values = [float(i) for i in range(30)]
    assert smoothed(values)[10] == pytest.approx(10.0)
    assert smoothed(values)[0] == pytest.approx(2.0)


@pytest.mark.parametrize("name", ["$x^$", r"\$a_$b$", "_hidden", "<b>&amp;</b>", "{x:d} %s", "日本", "a\nb", "\x01"])
def test_what_users_name_is_drawn_as_text_and_never_as_a_formula(name: str) -> None:
    renamed = [{key.replace("text", name): value for key, value in record.items()} for record in records()]
    drawing = html.unescape(loss_curves(Curves(renamed, ARMS | {"arms/ours": f"{name} arm"})))
    assert all(line in drawing for what in ("term", "arm") for line in f"{name} {what}".splitlines())
