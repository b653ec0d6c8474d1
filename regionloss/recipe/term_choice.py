"""Terms as a command line names them: a file of terms, a recipe, or names."""

from __future__ import annotations

import math
import os
from pathlib import Path

from regionloss.errors import InputError, UnknownNameError, expected
from regionloss.hooks.catalogue import catalogue
from regionloss.recipe.load import Loaded, load_any
from regionloss.recipe.locate import known_recipes
from regionloss.recipe.schema import Recipe, TermsFile, TermUse
from regionloss.recipe.source import Source

OPTION = "--terms"


def load_choice(choice: str, option: str = OPTION) -> Loaded[Recipe] | Loaded[TermsFile]:
    """Load terms.

    Args:
        choice: Path of a file of terms or of a recipe, name of a shipped recipe, or names of terms with commas between,
            each with its weight if that is not 1: `text=0.0025,face=0.02`.
        option: Name of the option in sentences.

    Raises:
        RecipeError: All that is wrong with the file, a line each.
        UnknownNameError: There is neither a term nor a recipe of such a name.
        InputError: A weight that is none, or no terms.
    """
    path = Path(choice)
    loaded = load_any(path) if path.suffix in (".yaml", ".yml") or os.path.isfile(path) else _by_name(choice, option)
    if not loaded.recipe.terms:
        raise InputError(expected(option, "terms", f"'{choice}', which has none"))
    return loaded


def _by_name(choice: str, option: str) -> Loaded[Recipe] | Loaded[TermsFile]:
    known, uses = catalogue(), {}
    for text in filter(None, (text.strip() for text in choice.split(","))):
        name, equals, weight = text.partition("=")
        try:
            known.term(name)
        except UnknownNameError:
            if choice in known_recipes():
                return load_any(choice)
            raise
        uses[name] = TermUse(use=name, weight=_weight(option, name, weight) if equals else 1.0)
    source = Source(option, {}, {("terms", name): option for name in uses})
    return Loaded(TermsFile(version=1, terms=uses), source, Path(), known)


def _weight(option: str, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise InputError(expected(option, f"'{name}=WEIGHT' with a finite weight of at least 0", f"'{name}={text}'"))
    return value
