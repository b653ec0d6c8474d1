"""`regionloss check`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer

from regionloss.console.options import Overrides, RecipeName
from regionloss.recipe.build import check_trainer
from regionloss.recipe.load import load_any


def check(
    recipe: RecipeName,
    overrides: Overrides = None,
    no_plugins: Annotated[
        bool,
        typer.Option(
            "--no-plugins",
            help="Do not run the Python files that the recipe names in 'plugins'; say what is then not checked.",
        ),
    ] = False,
) -> None:
    """Check a recipe and list all its mistakes; runs the recipe's plugins.

    The Python files that a recipe names in 'plugins' are run, as train runs them, since they say which names and
    options there are. Check a stranger's recipe with --no-plugins: nothing of it is run.
    """
    loaded = load_any(recipe, overrides or (), run_plugins=not no_plugins)
    if not no_plugins:
        check_trainer(loaded)
    names = ", ".join(loaded.recipe.terms) or "none"
    well = "no mistakes in what was checked" if loaded.unchecked else "no mistakes"
    typer.echo(f"{loaded.source.name}: {well}. Terms: {names}.")
    tell_unchecked(loaded.unchecked)


def tell_unchecked(lines: Iterable[str], *, err: bool = False) -> None:
    """Print why parts of a recipe could not be checked, a line each."""
    for line in lines:
        typer.echo(f"not checked: {line}", err=err)
