"""Recipes with more mistakes than anybody reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from regionloss.errors import RecipeError
from regionloss.recipe import load_recipe


def test_the_first_hundred_mistakes_are_listed_and_the_rest_counted(tmp_path: Path) -> None:
    lines = ["version: 1", "trainer: {name: insighttok}", *(f"odd{number}: 1" for number in range(250))]
    (tmp_path / "recipe.yaml").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(RecipeError) as told:
        load_recipe(str(tmp_path / "recipe.yaml"))
    said = str(told.value).splitlines()
    assert len(said) == 101
    total = 250 + sum("odd" not in line for line in said[:-1])  # and what the trainer lacks
    assert said[-1] == f"And {total - 100} mistakes more."
