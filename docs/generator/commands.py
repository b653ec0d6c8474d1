"""The reference of the command line."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from docs.generator.text import BY
from regionloss.cli.main import COMMANDS, load_command
from regionloss.hooks.catalogue import build_catalogue

BUILD = (
    "**The commands below are the reference build's.** Its plugin `insighttok` registers them through "
    "`register_commands`, as a plugin of yours would; they need the extra `ref`."
)


def page() -> str:
    """Return the reference of the command line as Markdown."""
    parts = [f"# Command line\n\n{BY}\n\nErrors are sentences; `regionloss --traceback COMMAND ...` shows the rest."]
    parts.append("Exit codes: 0, 1 (a run failed), 2 (usage, a recipe, or input that does not fit).")
    for name, (target, _) in COMMANDS.items():
        parts += command_sections(f"regionloss {name}", load_command(name, target))
    parts.append(BUILD)
    for found in build_catalogue(["insighttok"]).components("command"):
        parts += command_sections(f"regionloss {found.name}", load_command(found.name, found))
    return "\n\n".join(parts) + "\n"


def command_sections(path: str, command: Any) -> list[str]:
    """Return the section of a command, and those of its own commands."""
    help_text = inspect.cleandoc(command.help or "").strip()
    children = getattr(command, "commands", {})
    if children:
        sections = [f"## `{path}`\n\n{help_text}"]
        for name, child in children.items():
            sections += command_sections(f"{path} {name}", child)
        return sections
    shown = [p for p in command.params if p.name != "help"]
    usage = " ".join([path, *(usage_of(p) for p in shown if p.param_type_name == "argument")])
    level = "#" * (2 if path.count(" ") == 1 else 3)
    rows = "\n".join(f"| `{usage_of(p)}` | {(p.help or '').strip()}{default_of(p)} |" for p in shown)
    table = f"\n\n| | |\n|---|---|\n{rows}" if rows else ""
    return [f"{level} `{usage}`\n\n{help_text}{table}"]


def usage_of(parameter: Any) -> str:
    """Return how a parameter is typed."""
    if parameter.param_type_name == "argument":
        name = parameter.metavar or parameter.name.upper()
        many = parameter.nargs == -1 and "..." not in name
        shown = name if parameter.required or name.startswith("[") else f"[{name}]"
        return f"{shown}..." if many else shown
    options = ", ".join(parameter.opts)
    if parameter.is_flag:
        return options
    kind = "PATH" if parameter.type_descriptor.annotation is Path else "TEXT"
    return f"{options} {parameter.metavar or kind}"


def default_of(parameter: Any) -> str:
    """Return what is said of an option beyond its help."""
    required = parameter.param_type_name == "option" and parameter.required
    return " Required." if required else ""
