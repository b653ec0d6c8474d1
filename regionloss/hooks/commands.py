"""What a plugin registers as a command, as the command line runs it."""

from __future__ import annotations

from typing import Any

import typer

from regionloss.compat.typer import without_completion
from regionloss.errors import PluginError, in_one_line
from regionloss.hooks.records import Component
from regionloss.hooks.targets import load_target


def plugin_command(component: Component) -> Any:
    """Import a plugin's command.

    Raises:
        PluginError: The import fails, or the target makes no command.
    """
    found = load_target(component)
    try:
        return as_command(component.name, found)
    # Typer says with errors of many classes what it cannot read.
    except Exception as error:
        advice = "Let it be a typer app with a command, or a function whose parameters typer can read."
        told = f"{component}: {component.target} makes no command: {in_one_line(error)}. {advice}"
        raise PluginError(told) from error


def as_command(name: str, found: Any) -> Any:
    """Return the command `name` that a typer app is, or that a function becomes."""
    if not isinstance(found, typer.Typer):
        function, found = found, typer.Typer(add_completion=False)
        found.command()(function)
    without_completion(found)
    command = typer.main.get_command(found)
    command.name = name
    return command
