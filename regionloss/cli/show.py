"""`regionloss show`."""

from __future__ import annotations

import typer

from .check import Overrides, RecipeName


def show(recipe: RecipeName, overrides: Overrides = None) -> None:
    """Show a recipe with its defaults, versions and licences."""
    from ..recipe.load import load_any
    from ..recipe.resolved import resolved
    from ..recipe.training import dump

    typer.echo(dump(resolved(load_any(recipe, overrides or ()))), nl=False)
