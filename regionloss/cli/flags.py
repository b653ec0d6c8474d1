"""Flags of other programs, and keys of a recipe as flags: what to type instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

from regionloss.errors import InputError, RecipeError, did_you_mean, expected


class Flag(NamedTuple):
    """A flag as it was typed, and the recipe's key that it would be."""

    typed: str
    key: str
    value: str


def refuse_flags(command: Any, typed: Sequence[str]) -> None:
    """Look for flags that a command does not have, where it takes a recipe and changes of its keys.

    Nothing is said where all of them look like mistyped flags of the command: the command line has a sentence for that.

    Args:
        command: The command, as typer made it.
        typed: What was typed after its name.

    Raises:
        InputError: A line for each such flag, with what to type instead.
    """
    if not any(one.name == "overrides" for one in command.params):
        return
    own = {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help"}
    flags = list(flags_in(typed, own))
    recipe = next(filter(is_recipe, typed), None) if flags else None
    if recipe is None:
        return
    try:
        elsewhere, keys = known_to(recipe)
    except RecipeError:
        return
    known = elsewhere.keys() | keys
    if not all(get_close_matches(one.typed, own) and one.key.partition(".")[0] not in known for one in flags):
        raise InputError("\n".join(sentence(one, str(command.name), recipe, elsewhere, keys) for one in flags))


def flags_in(typed: Sequence[str], own: set[str]) -> Iterator[Flag]:
    """Yield the flags that are none of a command's own; `true` is the value of one that stands alone."""
    for word, after in zip(typed, [*typed[1:], "--"], strict=False):
        name, assigned, value = word.partition("=")
        if word == "--":
            return
        if name.startswith("--") and name not in own:
            alone = after.startswith("--") or "=" in after or is_recipe(after)
            yield Flag(name, name[2:].replace("-", "_"), value if assigned else "true" if alone else after)


def is_recipe(word: str) -> bool:
    """Whether a word names a recipe."""
    from regionloss.recipe.locate import find_recipe

    try:
        return bool(find_recipe(word))
    except RecipeError:
        return False


def known_to(recipe: str) -> tuple[Mapping[str, str], set[str]]:
    """Return what a recipe's trainer says of other programs' options, and the keys that may be changed."""
    from regionloss.hooks.options import defaults_of
    from regionloss.recipe.load import load_recipe

    loaded = load_recipe(recipe)
    trainer = loaded.catalogue.load("trainer", loaded.recipe.trainer.name)
    return getattr(trainer, "ELSEWHERE", {}), {*defaults_of(trainer), *type(loaded.recipe).model_fields}


def sentence(flag: Flag, command: str, recipe: str, elsewhere: Mapping[str, str], keys: set[str]) -> str:
    """Return what is said of one flag."""
    every = f"Leave it out, or change a key of the recipe as KEY=VALUE ('regionloss show {recipe}' prints all)."
    got, advice = "one that is not known", f"{every} {did_you_mean(flag.key, keys)}"
    if flag.key in elsewhere:
        got, advice = "one of other programs", elsewhere[flag.key]
    elif flag.key.partition(".")[0] in keys:
        got, advice = "a key of the recipe", f"Say {flag.key}={flag.value}."
    return expected(flag.typed, f"an option of 'regionloss {command}'", got, advice)
