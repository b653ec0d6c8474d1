"""`regionloss check`."""

from __future__ import annotations

from typing import Annotated

import typer

RecipeName = Annotated[str, typer.Argument(metavar="RECIPE", help="A file, or the name of a shipped recipe.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY.PATH=VALUE]...", help="Keys to change.", show_default=False),
]


def check(recipe: RecipeName, overrides: Overrides = None) -> None:
    """Check a recipe and list all its mistakes."""
    from ..recipe.load import load_any

    loaded = load_any(recipe, overrides or ())
    names = ", ".join(loaded.recipe.terms) or "none"
    typer.echo(f"{loaded.source.name}: no mistakes. Terms: {names}.")
