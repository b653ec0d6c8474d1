"""`regionloss show`."""

from __future__ import annotations

import typer

from regionloss.console.options import Overrides, RecipeName
from regionloss.recipe.load import load_any
from regionloss.recipe.resolved import resolved
from regionloss.recipe.run import dump


def show(recipe: RecipeName, overrides: Overrides = None) -> None:
    """Show a recipe with its defaults, versions and licences."""
    typer.echo(dump(resolved(load_any(recipe, overrides or ()))), nl=False)
