"""Write what the docs take from the code: the README's table of components, the CLI's and the API's pages.

    python docs/make_reference.py

A test compares the files with what this writes. (`docs/reference/hooks.md`: python -m regionloss.hooks.reference.)
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import regionloss
from regionloss.cli.main import COMMANDS, load_command
from regionloss.hooks.catalogue import build_catalogue

ROOT = Path(__file__).parents[1]
OURS = ("core", "text", "face", "hands", "logo", "insighttok")
START, END = "<!-- components: written by docs/make_reference.py -->", "<!-- end of components -->"
BY = "<!-- Written by `python docs/make_reference.py`; a test compares the two. -->"
KINDS = {"term": "terms", "detector": "detectors", "backbone": "backbones", "judge": "judges"}


def components_table() -> str:
    """Return the terms, detectors, backbones and judges of our own plugins with their licences, as Markdown."""
    known = build_catalogue(OURS)
    rows: list[tuple[str, Any]] = [("term", term) for term in known.terms()]
    rows += [(kind, found) for kind in KINDS if kind != "term" for found in known.components(kind)]
    lines = ["| component | what it is | licence of code and weights |", "|---|---|---|"]
    for kind, plural in KINDS.items():
        lines.append(f"| **{plural}** | | |")
        lines += [f"| `{r.canonical}` | {r.summary} | {r.licence} |" for k, r in rows if k == kind]
    rest = {c.kind: c.licence for c in known.components() if c.kind not in KINDS and c.licence != "Apache-2.0"}
    assert not rest, f"a component outside the table has another licence than ours: {rest}"
    return "\n".join(lines)


def readme() -> str:
    """Return the README with the table of components as it should be."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{components_table()}\n{END}{after}"


def cli_page() -> str:
    """Return the reference of the command line as Markdown."""
    parts = [f"# Command line\n\n{BY}\n\nErrors are sentences; `regionloss --traceback COMMAND ...` shows the rest."]
    parts.append("Exit codes: 0, 1 (a run failed), 2 (usage, a recipe, or input that does not fit).")
    for name, (target, _) in COMMANDS.items():
        parts += command_sections(f"regionloss {name}", load_command(name, target))
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


def api_page() -> str:
    """Return the public names with their first lines as Markdown."""
    lines = [f"# Public names\n\n{BY}\n\n`import regionloss as rl`; `help(rl.NAME)` says the rest.\n"]
    lines += ["| name | what it is |", "|---|---|"]
    for name in regionloss.__all__:
        found = getattr(regionloss, name)
        first = " ".join((inspect.getdoc(found) or "").split("\n\n")[0].split())
        lines.append(f"| `{name}` | {first.replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"


def pages() -> dict[Path, str]:
    """Return what each generated file should hold."""
    reference = ROOT / "docs" / "reference"
    return {ROOT / "README.md": readme(), reference / "cli.md": cli_page(), reference / "api.md": api_page()}


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))
