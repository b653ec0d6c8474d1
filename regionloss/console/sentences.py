"""Errors of commands as sentences: what the user reads instead of a traceback."""

from __future__ import annotations

import importlib.metadata
import re
from collections import defaultdict
from typing import Any

import typer
from typer.core import TyperGroup

from regionloss.errors import InputError, PluginError, RecipeError, RegionLossError, UnknownNameError, expected

#: Exit code of a command that was stopped with Ctrl-C, as shells have it.
INTERRUPTED = 130
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
        except ModuleNotFoundError as error:
            extra = extra_of(error.name or "")
            if not extra or ctx.find_root().params.get("traceback"):
                raise
            advice = f"Install it: pip install 'regionloss[{extra}]'."
            typer.echo(expected(ctx.info_name, f"the package {error.name}", "none", advice), err=True)
            raise typer.Exit(2) from None


def exit_code(error: Exception) -> int:
    """Return 2 for what the user typed or wrote, 1 for a run that failed."""
    return 2 if isinstance(error, USAGE) else 1


def extra_of(module: str) -> str:
    """Return the smallest extra of this distribution that brings a package; empty where none does."""
    wanted, extras = module.partition(".")[0].replace("_", "-"), defaultdict[str, list[str]](list)
    for requirement in importlib.metadata.requires("regionloss") or ():
        if found := re.match(r"([\w.-]+).*\bextra == ['\"]([\w-]+)", requirement):
            extras[found[2]].append(found[1].lower().replace("_", "-"))
    bringing = [extra for extra, names in extras.items() if wanted in names and extra != "dev"]
    return min(bringing, key=lambda extra: len(extras[extra]), default="")
