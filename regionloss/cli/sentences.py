"""Errors of commands as sentences: what the user reads instead of a traceback."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from ..errors import InputError, PluginError, RecipeError, RegionLossError, UnknownNameError

USAGE = (InputError, PluginError, RecipeError, UnknownNameError)


class SentenceGroup(TyperGroup):
    """A group whose commands print an expected error on stderr: exit code 2 for usage, 1 for a failed run.

    Where the root command was called with `--traceback`, the error is left to show itself.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the command; turn an expected error into its sentence and an exit code."""
        try:
            return super().invoke(ctx)
        except (RegionLossError, OSError) as error:
            if ctx.find_root().params.get("traceback"):
                raise
            typer.echo(str(error), err=True)
            raise typer.Exit(exit_code(error)) from None


def exit_code(error: Exception) -> int:
    """Return 2 for what the user typed or wrote, 1 for a run that failed."""
    return 2 if isinstance(error, USAGE) else 1
