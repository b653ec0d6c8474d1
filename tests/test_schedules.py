"""Weights that change with the step: their values in closed form, in a sum of terms, in a recipe."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

import regionloss as rl
from regionloss.losses import LAST_STEP
from regionloss.recipe import load_terms_file, resolved
from regionloss.schedules import WeightSchedule
from tests.helpers import pair, text_loss, text_regions

POINTS = ((10, 0.5), (20, 2.0), (40, 0.0))


@pytest.mark.parametrize("between", ["line", "cosine", "steps"])
@pytest.mark.parametrize("step", [0, 9, 10, 13, 19, 20, 30, 39, 40, 41, LAST_STEP])
def test_values_are_those_of_the_formula(between: str, step: int) -> None:
    """Reference: one formula a stretch."""
    if step < 10:
        expected = 0.5
    elif step < 20:
        share = (step - 10) / 10
        expected = {"line": 0.5 + 1.5 * share, "cosine": 1.25 - 0.75 * math.cos(math.pi * share), "steps": 0.5}[between]
    elif step < 40:
        share = (step - 20) / 20
        expected = {"line": 2 - 2 * share, "cosine": 1 + math.cos(math.pi * share), "steps": 2.0}[between]
    else:
        expected = 0.0
    assert WeightSchedule(POINTS, between)(step) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    "weight", [WeightSchedule(((0, 0.0), (4, 2.0))), lambda step: min(step, 4) / 2], ids=["points", "callable"]
)
def test_a_term_takes_the_weight_of_its_step(weight: object) -> None:
    """Steps are counted from the term's first one."""
    x, y = pair()
    terms = rl.LossTerms({"text": rl.Term(text_loss(), "text", weight, start_step=10)})
    value = text_loss()(x, y, text_regions())
    for step, factor in ((0, 0.0), (9, 0.0), (10, 0.0), (11, 0.5), (14, 2.0), (500, 2.0)):
        torch.testing.assert_close(terms(x, y, text_regions(), step).total, factor * value)
    with pytest.raises(
        rl.RegionLossError, match=r"^step: expected a training step, as terms\['text'\]\.weight changes"
    ):
        terms(x, y, text_regions())


@pytest.mark.parametrize("wrong", [-1.0, math.nan, math.inf, "1", None, True, torch.tensor(1.0)], ids=repr)
def test_a_weight_that_is_none_is_a_sentence(wrong: object) -> None:
    sentence = r"^terms\['text'\]\.weight.*: expected a finite weight, 0 or more, got "
    with pytest.raises(rl.RegionLossError, match=sentence):
        rl.LossTerms({"text": rl.Term(text_loss(), "text", wrong)})
    changing = rl.LossTerms({"text": rl.Term(text_loss(), "text", lambda step: wrong)})
    with pytest.raises(rl.RegionLossError, match=sentence):
        changing(*pair(), text_regions(), 3)


@pytest.mark.parametrize(
    ("points", "between", "sentence"),
    [
        ((), "line", r"^points: expected pairs of a step and a weight"),
        (((0, 1, 2),), "line", r"^points: expected pairs"),
        ("ramp", "line", r"^points: expected pairs"),
        (((0, 1), (0, 2)), "line", r"^points: expected steps that rise, got \[0, 0\]"),
        (((5, 1), (0, 2)), "line", r"^points: expected steps that rise"),
        (((-1, 1),), "line", r"^points: expected steps of 0 or more"),
        (((0.5, 1),), "line", r"^points: expected steps of 0 or more"),
        (((0, -1),), "line", r"^points: expected a finite weight"),
        (((0, math.nan),), "line", r"^points: expected a finite weight"),
        (((0, 1),), "spline", r"^between: expected 'line', 'cosine' or 'steps', got 'spline'"),
    ],
)
def test_points_that_are_none_are_sentences(points: object, between: str, sentence: str) -> None:
    with pytest.raises(rl.RegionLossError, match=sentence):
        WeightSchedule(points, between)


def written(folder: Path, weight: str) -> Path:
    path = folder / "terms.yaml"
    path.write_text(f"version: 1\nterms:\n  t: {{use: region-st-lpips, kind: text, weight: {weight}}}\n")
    return path


def test_a_recipe_writes_one_as_points(tmp_path: Path) -> None:
    path = written(tmp_path, "{points: [[0, 0], [1000, 0.02]], between: cosine}")
    loaded = load_terms_file(path)
    assert loaded.recipe.terms["t"].weight == WeightSchedule(((0, 0.0), (1000, 0.02)), "cosine")
    said = resolved(loaded)["recipe"]["terms"]["t"]["weight"]
    assert said == {"points": [[0, 0.0], [1000, 0.02]], "between": "cosine"}
    changed = load_terms_file(path, ["terms.t.weight.points.1.1=0.5"])
    assert changed.recipe.terms["t"].weight(1000) == 0.5


@pytest.mark.parametrize(
    ("weight", "sentence"),
    [
        ("{points: [[0, 1], [0, 2]]}", r"terms\.t\.weight: points: expected steps that rise"),
        ("{point: [[0, 1]]}", r"terms\.t\.weight\.point: expected a known key, got 'point'\. Did you mean 'points'"),
        ("{points: [[0, -1]]}", r"terms\.t\.weight: points: expected a finite weight"),
        ("-1", r"terms\.t\.weight: expected a number greater than or equal to 0 or "),
        (".nan", r"terms\.t\.weight: expected a .*finite"),
    ],
)
def test_mistakes_in_a_recipe_are_sentences(tmp_path: Path, weight: str, sentence: str) -> None:
    with pytest.raises(rl.RegionLossError, match=sentence):
        load_terms_file(written(tmp_path, weight))
