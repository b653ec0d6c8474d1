"""`key.path=value` on the command line: one way to change any key, and no flags that shadow keys.

Two short ways: a path that begins with no key of the recipe's own is an option of its trainer (`steps=100` for
`trainer.options.steps=100`), and `terms.hands=auto` or `terms.hands=0.02` is the weight of a term, which is added by
its name where the recipe does not have it.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from regionloss.errors import RecipeError
from regionloss.hooks.validation import Path as KeyPath
from regionloss.hooks.validation import dotted, short, shown
from regionloss.recipe.schema import AUTO, Recipe
from regionloss.recipe.source import RECIPE, UNWRITABLE, WrittenRecipe, parse_value

_INDEX = re.compile("[0-9]{1,9}")


def override(source: WrittenRecipe, overrides: Iterable[str]) -> WrittenRecipe:
    """Return `source` with `overrides` applied, in order; what is wrong with them joins its problems.

    Args:
        source: The recipe as it was written.
        overrides: `key.path=value` each; a number in the path is the index of a list, the value is YAML. Short ones as
            above.
    """
    several = isinstance(overrides, Iterable) and not isinstance(overrides, str)
    data, places, problems = copy.deepcopy(source.data), dict(source.places), list(source.problems)
    for text in map(str, overrides if several else [overrides]):
        where = f"override '{short(text)}'"
        try:
            path, value = parse_override(text)
            path, value = _whole(data, path, value)
            path = _set(data, path, value)
        except RecipeError as error:
            problems.append(f"{where}: {error}")
            continue
        places = {at: line for at, line in places.items() if at[: len(path)] != path}
        places[path] = where
        if path[:2] == ("trainer", "options"):
            places.setdefault(path[:3], where)
    return replace(source, data=data, places=places, problems=tuple(problems))


def parse_override(text: str) -> tuple[KeyPath, Any]:
    """Split `key.path=value`; raises RecipeError where there is no key, no `=`, or a value that is no YAML."""
    key, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"[^.\s]+(\.[^.\s]+)*", key):
        raise RecipeError("expected key.path=value, for example trainer.options.steps=100.")
    path: KeyPath = tuple(int(part) if _INDEX.fullmatch(part) else part for part in key.split("."))
    if len(path) > RECIPE.levels:
        raise RecipeError(f"expected at most {RECIPE.levels} keys in a path, got {len(path)}.")
    if UNWRITABLE.search(key):
        raise RecipeError(f"expected a key without NUL and halves of characters, got {shown(key)}.")
    try:
        return path, parse_value(value, len(path))
    except RecipeError as error:
        if error.__cause__ is None:
            raise RecipeError(str(error).partition(": ")[2]) from error
        raise RecipeError(f"expected a value in YAML, got {short(repr(value))}. Put it in quotes?") from error


def _whole(data: Any, path: KeyPath, value: Any) -> tuple[KeyPath, Any]:
    """Return the whole path, and the whole value, of a short one."""
    trainer, own = (data.get("trainer"), Recipe.model_fields) if isinstance(data, dict) else (None, {})
    if path[0] not in own and isinstance(trainer, dict):
        return ("trainer", "options", *path), value
    is_weight = value == AUTO or (isinstance(value, int | float) and not isinstance(value, bool))
    if path[0] == "terms" and len(path) == 2 and is_weight:
        terms = data.get("terms")
        known = isinstance(terms, dict) and isinstance(terms.get(path[1]), dict)
        return ((*path, "weight"), value) if known else (path, {"use": str(path[1]), "weight": value})
    return path, value


def _set(data: Any, path: KeyPath, value: Any) -> KeyPath:
    """Set `value` at `path`; return the path as the data has it (numbers are keys of mappings, too)."""
    true_path: list[str | int] = []
    for depth, part in enumerate(path):
        last = depth == len(path) - 1
        where = dotted(path[:depth]) or "the recipe"
        if isinstance(data, list):
            if not isinstance(part, int) or part >= len(data):
                raise RecipeError(f"expected an index below {len(data)} in {where}, got '{short(str(part))}'.")
        elif isinstance(data, dict):
            part = str(part)
            if not last and data.get(part) is None:
                data[part] = {}
        else:
            raise RecipeError(f"expected a mapping at {where}, got {shown(data)}.")
        true_path.append(part)
        if last:
            data[part] = value
        else:
            data = data[part]
    return tuple(true_path)
