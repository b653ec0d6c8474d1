"""Loading a recipe: written, overridden, validated; every mistake in one error."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, TypeAdapter

from regionloss.errors import PluginError, RecipeError, UnknownNameError, expected
from regionloss.hooks.catalogue import Catalogue, build_catalogue, catalogue
from regionloss.hooks.manager import file_plugin, file_spec
from regionloss.hooks.validation import Problem, check
from regionloss.recipe.locate import find_recipe
from regionloss.recipe.options import component_problems
from regionloss.recipe.overrides import override
from regionloss.recipe.schema import Recipe, TermsFile
from regionloss.recipe.source import RESOLVED, WrittenRecipe, read_yaml

S = TypeVar("S", Recipe, TermsFile)


@dataclass(frozen=True)
class Loaded(Generic[S]):
    """A recipe (or a file of terms) that passed every check, with all that building it needs.

    Args:
        recipe: Contents of the file, validated.
        source: The file, for sentences about it.
        path: Path of the file.
        catalogue: The plugins that it was checked against, those that it names included.
        unchecked: A line for each part that could not be looked at, though nothing says that it is wrong.
    """

    recipe: S
    source: WrittenRecipe
    path: Path
    catalogue: Catalogue
    unchecked: tuple[str, ...] = ()


def load_recipe(recipe: str | Path, overrides: Iterable[str] = ()) -> Loaded[Recipe]:
    """Load a recipe.

    Args:
        recipe: Path of the file, or name of a shipped recipe.
        overrides: Changes of the recipe, each `key.path=value`; `steps=100` is the trainer's option of that name, and
            `terms.hands=auto` the weight of a term.

    Raises:
        RecipeError: All that is wrong with it, a line each: `file:line: key.path: expected ..., got ...`.
    """
    path = find_recipe(recipe)
    return _load(Recipe, path, override(read_yaml(path), overrides))


def load_begun(run: Path, overrides: Iterable[str] = ()) -> Loaded[Recipe]:
    """Load the recipe that a run was begun with, from the `resolved.yaml` in its folder.

    Its plugins lie where they lay: beside the recipe's own file.

    Raises:
        RecipeError: There is no such file, or a plugin has gone; and as for `load_recipe`.
    """
    written = read_yaml(run / "resolved.yaml", RESOLVED)
    whole = written.data if isinstance(written.data, dict) else {}
    if not isinstance(whole.get("file"), str) or not isinstance(whole.get("recipe"), dict):
        wanted = "the keys 'recipe' and 'file', as a run writes them"
        raise RecipeError(expected(written.name, wanted, "others", "Name the recipe that the run was begun with."))
    places = {path[1:]: place for path, place in written.places.items() if path[:1] == ("recipe",)}
    source = replace(written, data=whole["recipe"], places=places)
    return _load(Recipe, Path(whole["file"]), override(source, overrides))


def load_terms_file(path: str | Path, overrides: Iterable[str] = ()) -> Loaded[TermsFile]:
    """Load a file of terms alone (`version`, `terms`, perhaps `plugins`); arguments as for `load_recipe`."""
    found = find_recipe(path)
    return _load(TermsFile, found, override(read_yaml(found), overrides))


def load_any(
    recipe: str | Path, overrides: Iterable[str] = (), *, run_plugins: bool = True
) -> Loaded[Recipe] | Loaded[TermsFile]:
    """Load a recipe, or a file of terms where it has no key but theirs.

    Args:
        recipe: Path of the file, or name of a shipped recipe.
        overrides: Changes of the recipe, each `key.path=value`.
        run_plugins: Whether to run the plugins that it names. Without them, what they may bring is unchecked, and the
            recipe is not there to be built.

    Raises:
        RecipeError: As for `load_recipe`.
    """
    path = find_recipe(recipe)
    source = override(read_yaml(path), overrides)
    if isinstance(source.data, dict) and source.data.keys() <= TermsFile.model_fields.keys():
        return _load(TermsFile, path, source, run_plugins)
    return _load(Recipe, path, source, run_plugins)


def _load(schema: type[S], path: Path, source: WrittenRecipe, run_plugins: bool = True) -> Loaded[S]:
    data = {} if source.data is None else source.data
    adapter: TypeAdapter[BaseModel] = TypeAdapter(schema)
    value, problems = check(adapter, schema, data)
    known, others = _against_plugins(data, path) if run_plugins else _without_plugins(data, path)
    problems += others
    mistakes = [_or_of_the_recipe(problem, source) for problem in problems if not problem.spare]
    if mistakes or source.problems:
        raise source.error(mistakes)
    return Loaded(value, source, path, known, tuple(source.line(problem) for problem in problems))


def _or_of_the_recipe(problem: Problem, source: WrittenRecipe) -> Problem:
    """Say of a short override that is no option of the trainer which key of the recipe's own it may have meant."""
    short = problem.path[:2] == ("trainer", "options") and source.place(problem.path).startswith("override '")
    if not short or "trainer.options" in source.place(problem.path):
        return problem
    near = difflib.get_close_matches(str(problem.path[2]), Recipe.model_fields, n=1)
    return replace(problem, sentence=f"{problem.sentence} Or the recipe's own '{near[0]}'?") if near else problem


def _plugin_files(data: Any, path: Path) -> list[Path]:
    """The plugins that a recipe names, beside which they lie."""
    names = data.get("plugins") if isinstance(data, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return []
    return [Path(os.path.realpath(path.parent / name)) for name in names]  # a loop of links is no file


def _against_plugins(data: Any, path: Path) -> tuple[Catalogue, list[Problem]]:
    """The installed plugins and those of the recipe, which are run; all that is wrong with these and with names."""
    files = _plugin_files(data, path)
    known = build_catalogue(files=files) if files else catalogue()
    broken = {broken.plugin.file: broken for broken in known.broken if broken.plugin.file}
    problems = [
        Problem(("plugins", number), f"{file_plugin(file).name}: {broken[file].sentence}")
        for number, file in enumerate(files)
        if file in broken
    ]
    return known, [*problems, *component_problems(data, known)]


def _without_plugins(data: Any, path: Path) -> tuple[Catalogue, list[Problem]]:
    """The installed plugins alone; a name that they lack may be one of the recipe's plugins."""
    files, known, problems = _plugin_files(data, path), catalogue(), []
    for number, file in enumerate(files):
        place = ("plugins", number)
        try:
            file_spec(file)
            problems.append(Problem(place, f"'{file.name}' was not run.", spare=True))
        except (PluginError, OSError) as error:
            problems.append(Problem(place, f"{file_plugin(file).name}: {error}"))
    for problem in component_problems(data, known):
        theirs = bool(files) and problem.cause is not None and issubclass(problem.cause, UnknownNameError)
        problems.append(replace(problem, spare=problem.spare or theirs))
    return known, problems
