"""What a plugin registers as a command, as the command line runs it."""

from __future__ import annotations

from typing import Any

import typer

from regionloss.compat.typer import without_completion
from regionloss.errors import PluginError
from regionloss.hooks.records import Component
from regionloss.hooks.targets import described, load_target


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
        reason = " ".join(str(error).split()).rstrip(".")
        advice = "Let it be a typer app with a command, or a function whose parameters typer can read."
        said = f"{component.target} makes no command: {type(error).__name__}: {reason}. {advice}"
        raise PluginError(f"{described(component)}: {said}") from error


def as_command(name: str, found: Any) -> Any:
    """Return the command `name` that a typer app is, or that a function becomes."""
    if not isinstance(found, typer.Typer):
        function, found = found, typer.Typer(add_completion=False)
        found.command()(function)
    without_completion(found)
    command = typer.main.get_command(found)
    command.name = name
    return command
