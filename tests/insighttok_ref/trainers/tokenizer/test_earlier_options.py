"""Recipes of the earlier trainer `comparison` say what they said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from insighttok_ref.trainers.tokenizer.earlier_options import read_earlier
from regionloss.errors import RecipeError
from regionloss.recipe import load_recipe
from regionloss.recipe.resolved import resolved

PHASES = [{"name": "a", "steps": 2}]
EARLIER = """
version: 1
trainer:
  name: comparison
  options:
    model: {preset: miniature}
    data: {image_size: 96, train_images: 4096, test_images: 30, test_faces: 4, test_seed: 9, text: {words: [1, 3]}}
    phases:
      - {name: pretrain, steps: 4}
      - {name: compare, steps: 2, lr: 2e-3, arms: {control: [], ours: []}}
"""
TODAY = """
version: 1
trainer:
  name: insighttok
  options:
    model: {preset: miniature}
    data:
      image_size: 96
      workers: 0
      epoch: 4096
      test_seed: 9
      sources:
        text: {render: {words: [1, 3]}, share: 0.7, test: 30}
        face: {packaged: face, share: 0.15, test: 4}
        photo: {packaged: photo, share: 0.15}
    phases:
      - {name: pretrain, steps: 4, batch_size: 16, lr: 1e-3}
      - {name: compare, steps: 2, batch_size: 16, lr: 2e-3, arms: {control: [], ours: []}}
"""


def options(text: str, folder: Path, *overrides: str) -> Any:
    path = folder / "recipe.yaml"
    path.write_text(text)
    return resolved(load_recipe(path, overrides))["recipe"]["trainer"]["options"]


def data(**given: Any) -> Any:
    return read_earlier({"data": given, "phases": PHASES})["data"]


def test_an_earlier_recipe_is_read_as_one_of_today(tmp_path: Path) -> None:
    assert options(EARLIER, tmp_path) == options(TODAY, tmp_path)


def test_an_earlier_key_changes_a_recipe_of_today(tmp_path: Path) -> None:
    """The commands that tutorials and scripts have."""
    overrides = ("data.train_images=64", "data.test_images=8", "data.test_faces=2", "data.images=photos")
    read = options(TODAY, tmp_path, *(f"trainer.options.{override}" for override in overrides))["data"]
    assert read["epoch"] == 64
    assert {name: source["test"] for name, source in read["sources"].items()} == {
        "folder": 2,
        "text": 8,
        "face": 2,
        "photo": 0,
    }
    assert (read["sources"]["folder"]["images"], read["sources"]["folder"]["annotate"]) == ("photos", True)


def test_a_mix_of_earlier_names_all_that_is_trained_on_but_the_user_s_folder() -> None:
    assert list(data(mix={"text": 1.0}, test_faces=0)["sources"]) == ["text"]
    sources = data(mix={"photo": 2.0}, images="photos", max_files=7)["sources"]
    assert {name: source["share"] for name, source in sources.items()} == {
        "folder": 0.5,
        "text": 0.0,
        "face": 0.0,
        "photo": 2.0,
    }
    assert sources["folder"]["max_files"] == 7


@pytest.mark.parametrize("given", [{}, {"data": None}, {"data": 3}, {"data": {"image_size": 64, "sources": {}}}])
def test_options_of_today_are_left_alone(given: dict[str, Any]) -> None:
    assert read_earlier(given) is given


@pytest.mark.parametrize(
    "override", ["data.mix=3", "data.text=3", "data.images=[a, b]", "phases.0=3", "data.sources=3", "data.test_faces=x"]
)
def test_what_cannot_be_read_is_a_mistake_with_its_place(tmp_path: Path, override: str) -> None:
    assert yaml.safe_load(EARLIER)
    with pytest.raises(RecipeError, match=r"trainer\.options\.(data|phases)"):
        options(EARLIER, tmp_path, f"trainer.options.{override}")
