"""The weight that a term has where nobody gives one: that of its registration."""

from __future__ import annotations

from pathlib import Path

import pytest

import regionloss as rl
from regionloss.hooks.catalogue import catalogue
from regionloss.recipe import load_choice, load_terms_file, resolved
from regionloss.recipe.build import weight_of
from regionloss.schedules import WeightSchedule

OWN = "core/region-st-lpips"


def weight(text: str, folder: Path) -> object:
    path = folder / "terms.yaml"
    path.write_text(f"version: 1\nterms:\n  t: {{use: {OWN}, kind: text{text}}}\n")
    loaded = load_terms_file(path)
    found = weight_of(loaded.recipe.terms["t"], loaded.catalogue.term(OWN))
    assert resolved(loaded)["recipe"]["terms"]["t"]["weight"] == found
    return found


def test_it_is_that_of_the_registration(tmp_path: Path) -> None:
    registered = catalogue().term(OWN).weight
    assert registered not in (0, 1)
    assert weight("", tmp_path) == weight(", weight: null", tmp_path) == registered
    assert weight(", weight: 0.5", tmp_path) == 0.5
    assert weight(", weight: 0", tmp_path) == 0
    assert weight(", extractor: {options: {size: [64, 64]}}", tmp_path) == registered
    assert weight(", distance: squared-l2", tmp_path) == registered


@pytest.mark.parametrize("part", ["distance: normalised-l2", "weighting: uniform", "backbone: st-lpips-vgg"])
def test_another_part_pulls_otherwise(tmp_path: Path, part: str) -> None:
    assert weight(f", {part}", tmp_path) == 1


def test_names_alone_take_it() -> None:
    for choice, expected in (("region-st-lpips", None), ("region-st-lpips=2", 2.0)):
        assert load_choice(choice).recipe.terms["region-st-lpips"].weight == expected
    with pytest.raises(rl.RegionLossError, match=r"^terms: region-st-lpips: expected a finite weight"):
        rl.load_terms({"region-st-lpips": "heavy"})


@pytest.mark.weights
@pytest.mark.parametrize("names", ["text", ["text"], ("text",), {"text": None}], ids=repr)
def test_terms_by_name_take_it(names: object) -> None:
    assert rl.LossTerms.from_names(names)["text"].weight == catalogue().term("text").weight == 0.0025


@pytest.mark.weights
def test_a_schedule_by_name() -> None:
    ramp = WeightSchedule(((0, 0.0), (100, 0.0025)))
    assert rl.LossTerms.from_names({"text": ramp})["text"].weight_at(50) == pytest.approx(0.00125)
