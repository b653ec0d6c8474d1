"""Recipes by name: those of the checkout, or those that came with the wheel."""

from __future__ import annotations

import os
from pathlib import Path

from regionloss.errors import RecipeError, did_you_mean, expected

PACKAGE = Path(__file__).resolve().parent.parent


def recipe_folders() -> list[Path]:
    """Return the folders that hold shipped recipes: beside the package in a checkout, inside it in a wheel."""
    checkout = PACKAGE.parent / "recipes"
    # Beside an installed package lies site-packages: a folder of that name there is somebody else's.
    here = [checkout] if (PACKAGE.parent / "pyproject.toml").is_file() else []
    return [folder for folder in (*here, PACKAGE / "_recipes") if folder.is_dir()]


def known_recipes() -> dict[str, Path]:
    """Return the shipped recipes by name (`quickstart`, `folder/name`)."""
    return {
        path.relative_to(folder).with_suffix("").as_posix(): path
        for folder in reversed(recipe_folders())
        for path in sorted(folder.rglob("*.yaml"))
    }


def find_recipe(name: str | Path) -> Path:
    """Return the file of a recipe.

    Args:
        name: A path, or the name of a shipped recipe.

    Raises:
        RecipeError: There is neither.
    """
    if not isinstance(name, str | os.PathLike):
        raise RecipeError(expected("recipe", "a path, or the name of a shipped recipe", type(name).__name__))
    path = Path(name)
    there = os.path.isfile(path)  # pathlib's raises for what cannot be a path
    if there:
        return path
    known = known_recipes()
    if path.suffix in (".yaml", ".yml"):
        raise RecipeError(expected(str(path), "a recipe", "no such file", did_you_mean(path.stem, known)))
    if str(name) in known:
        return known[str(name)]
    raise RecipeError(f"no recipe is named '{name}'. {did_you_mean(str(name), known)}")
