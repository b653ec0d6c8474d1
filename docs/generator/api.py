"""The reference of the public names: signatures, arguments, methods."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import regionloss
from docs.generator.text import BY, arguments, cell, paragraphs

#: What plugins import from modules of core, beyond what `regionloss` itself has (explanation/stability.md).
BESIDES = {
    "regionloss.backbones": ("Frozen", "imagenet_spec"),
    "regionloss.regions": ("join",),
    "regionloss.distances.base": ("Distance",),
    "regionloss.weightings.base": ("Weighting",),
    "regionloss.weights": ("fetch", "home", "load_state_dict", "load_strictly", "locate", "origin_of", "sha256_of"),
    "regionloss.checks": ("check_images", "check_pair", "check_range", "check_regions", "range_of", "size_of"),
    "regionloss.errors": (
        "InputError", "LostProcessError", "NotFiniteError", "PluginError", "RecipeError", "UnknownNameError",
        "WeightsError", "did_you_mean", "expected",
    ),
}  # fmt: skip
#: What trainers and commands import besides: the names of each in a table.
DOORS = (
    "console", "data.annotate", "data.batches", "data.images", "data.shards", "data.sidecars", "data.words",
    "evaluation", "evaluation.benchmarks", "evaluation.pairs", "evaluation.report", "extractors", "losses", "pictures",
    "recipe", "runs",
)  # fmt: skip
#: Classes of which every public method is shown.
WHOLE = {"Detector", "RegionExtractor", "FeatureBackbone", "Distance", "Weighting", "Judge", "Regions"}
LINE = 100


def page() -> str:
    """Return the public names, their signatures, arguments and methods as Markdown."""
    parts = [f"# Public names\n\n{BY}\n\n`help(NAME)` says the rest: what is returned, what is raised, examples."]
    parts += names_of("`import regionloss as rl`", {name: getattr(regionloss, name) for name in regionloss.__all__})
    for module, names in BESIDES.items():
        found = importlib.import_module(module)
        parts += names_of(f"`{module}`", {name: getattr(found, name) for name in names})
    parts.append("## Doors for trainers and commands\n\nEach is a module; what it is for stands in its first line.")
    parts += [door(f"regionloss.{name}") for name in DOORS]
    return "\n\n".join(parts) + "\n"


def door(module: str) -> str:
    """Return the section of a door: what it is for, and its classes and functions with their first sentences."""
    found = importlib.import_module(module)
    named = {name: getattr(found, name) for name in found.__all__}
    rows = [
        f"| `{name}` | {cell(paragraphs(one)[0])} |"
        for name, one in named.items()
        if inspect.isclass(one) or inspect.isfunction(one)
    ]
    table = "\n".join(["| name | what it is |", "|---|---|", *rows])
    purpose = (found.__doc__ or "").partition("\n")[0]
    return f"### `{module}`\n\n{purpose}\n\n{table}"


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
