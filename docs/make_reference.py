"""Write what the docs take from the code: the README's table of components, the CLI's and the API's pages.

    python docs/make_reference.py

A test compares the files with what this writes. (`docs/reference/hooks.md`: python -m regionloss.hooks.reference.)
"""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import regionloss
from regionloss.cli.main import COMMANDS, load_command
from regionloss.hooks.catalogue import build_catalogue
from regionloss.hooks.reference import arguments

ROOT = Path(__file__).parents[1]
OURS = ("core", "text", "face", "hands", "logo", "insighttok")
START, END = "<!-- components: written by docs/make_reference.py -->", "<!-- end of components -->"
BY = "<!-- Written by `python docs/make_reference.py`; a test compares the two. -->"
KINDS = {"term": "terms", "detector": "detectors", "backbone": "backbones", "judge": "judges"}
#: What plugins import from modules of core, beyond what `regionloss` itself has (explanation/stability.md).
BESIDES = {
    "regionloss.backbones": ("Frozen", "imagenet_spec"),
    "regionloss.distances.base": ("Distance",),
    "regionloss.weightings.base": ("Weighting",),
    "regionloss.weights": ("fetch", "home", "load_state_dict", "load_strictly", "locate", "origin_of", "sha256_of"),
    "regionloss.checks": ("check_images", "check_pair", "check_range", "check_regions", "range_of", "size_of"),
    "regionloss.errors": (
        "InputError", "LostProcessError", "NotFiniteError", "PluginError", "RecipeError", "UnknownNameError",
        "WeightsError", "did_you_mean", "expected",
    ),
}  # fmt: skip
#: Classes of which every public method is shown.
WHOLE = {"Detector", "RegionExtractor", "FeatureBackbone", "Distance", "Weighting", "Judge", "Regions"}
LINE = 100
BUILD = (
    "**The commands below are the reference build's.** Its plugin `insighttok` registers them through "
    "`register_commands`, as a plugin of yours would; they need the extra `ref`."
)


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


def api_page() -> str:
    """Return the public names, their signatures, arguments and methods as Markdown."""
    parts = [f"# Public names\n\n{BY}\n\n`help(NAME)` says the rest: what is returned, what is raised, examples."]
    parts += names_of("`import regionloss as rl`", {name: getattr(regionloss, name) for name in regionloss.__all__})
    for module, names in BESIDES.items():
        found = importlib.import_module(module)
        parts += names_of(f"`{module}`", {name: getattr(found, name) for name in names})
    return "\n\n".join(parts) + "\n"


def names_of(title: str, found: dict[str, Any]) -> list[str]:
    """Return the sections of a module: a table of its names, then each with its signature."""
    rows = []
    for name, one in found.items():
        shown = f"`{name}`" if is_error(one) else f"[`{name}`](#{name.lower()})"
        rows.append(f"| {shown} | {cell(paragraphs(one)[0])} |")
    table = "\n".join(["| name | what it is |", "|---|---|", *rows])
    return [f"## {title}\n\n{table}", *(section(name, one) for name, one in found.items() if not is_error(one))]


def section(name: str, found: Any) -> str:
    """Return what is said of a name: signature, description, arguments, methods."""
    protocol = getattr(found, "_is_protocol", False)
    parts = [f"### `{name}`"]
    if not protocol:
        parts.append(f"```text\n{signature(name, found)}\n```")
    parts += paragraphs(found)
    if meanings := arguments(inspect.getdoc(found) or ""):
        rows = [f"| `{argument}` | {cell(meaning)} |" for argument, meaning in meanings]
        parts.append("\n".join(["| argument | meaning |", "|---|---|", *rows]))
    lines = [f"- `{field}: {kind}`" for field, kind in found.__annotations__.items()] if protocol else []
    for method, function in methods(name, found).items():
        said = paragraphs(function)[0] if function.__doc__ else ""
        lines.append(f"- `{signature(f'.{method}', function)}`" + (f": {said}" if said else ""))
    return "\n\n".join([*parts, *(["\n".join(lines)] if lines else [])])


def methods(name: str, found: Any) -> dict[str, Any]:
    """Return how a class of ours is called and made otherwise; of a stage, and of Regions, every public method."""
    if not inspect.isclass(found):
        return {}
    ours = [base for base in reversed(found.__mro__) if base.__module__.startswith("regionloss.")]
    held = {key: value for base in ours for key, value in vars(base).items()}
    own = vars(found) if name in WHOLE else {}
    return {
        key: getattr(found, key)
        for key, value in held.items()
        if key in ("__call__", "forward")
        or (not key.startswith("_") and (isinstance(value, classmethod) or (key in own and inspect.isfunction(value))))
    }


def signature(name: str, found: Any) -> str:
    """Return `NAME(argument: type = default, ...)`; a line for each argument where one line is too long."""
    fields = getattr(found, "__dataclass_fields__", {})
    factories = {key: field.default_factory() for key, field in fields.items() if callable(field.default_factory)}
    described = inspect.signature(found)
    shown = []
    for parameter in described.parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not any(one.startswith("*") for one in shown):
            shown.append("*")
        mark = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        default = factories.get(parameter.name, parameter.default)
        value = default.__name__ if inspect.isfunction(default) else repr(default)
        given = "" if default is parameter.empty else f" = {value}"
        shown.append(f"{mark}{parameter.name}: {parameter.annotation}{given}")
    end = ")" if inspect.isclass(found) else f") -> {described.return_annotation}"
    line = f"{name}({', '.join(shown)}{end}"
    if len(line) <= LINE or name.startswith("."):
        return line
    return "\n".join([f"{name}(", *(f"    {one}," for one in shown), end])


def is_error(found: Any) -> bool:
    """Whether it is an error: its name and its line say all of it."""
    return inspect.isclass(found) and issubclass(found, Exception)


def paragraphs(found: Any) -> list[str]:
    """Return what a docstring says before its arguments; its first paragraph where it is not ours."""
    said = re.split(r"\n\n(?=(?:Args|Returns|Raises|Yields|Example|Source|Attributes)\b)", inspect.getdoc(found) or "")[
        0
    ]
    whole = [" ".join(paragraph.split()) for paragraph in said.split("\n\n")]
    return whole if found.__module__.startswith("regionloss") else whole[:1]


def cell(text: str) -> str:
    """Return text for a cell of a table."""
    return text.replace("|", "\\|")


def pages() -> dict[Path, str]:
    """Return what each generated file should hold."""
    reference = ROOT / "docs" / "reference"
    return {ROOT / "README.md": readme(), reference / "cli.md": cli_page(), reference / "api.md": api_page()}


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))
