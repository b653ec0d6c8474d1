"""YAML as plain data, with the line of every key.

PyYAML alone reads `3e-4` as a text and `yes` as a boolean, and lets the last of two equal keys win. Here the first is
a number, the second a text, and the third a mistake.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..errors import RecipeError, expected
from ..hooks.validation import Path as KeyPath
from ..hooks.validation import Problem, dotted

_SCALARS = {
    "null": (re.compile(r"~|null|Null|NULL|"), "~nN\0"),
    "bool": (re.compile(r"true|True|TRUE|false|False|FALSE"), "tTfF"),
    "int": (re.compile(r"[-+]?[0-9][0-9_]*|0x[0-9a-fA-F]+"), "-+0123456789"),
    "float": (
        re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*\.?[0-9_]*)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"),
        "-+.0123456789",
    ),
}  # fmt: skip


class _Loader(yaml.SafeLoader):
    """PyYAML's reader with the scalars of YAML 1.2."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


for _name, (_pattern, _first) in _SCALARS.items():
    _whole = re.compile(f"^(?:{_pattern.pattern})$")
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", _whole, [c.replace("\0", "") for c in _first])


@dataclass(frozen=True)
class Source:
    """A recipe as it was written.

    Args:
        name: How sentences name the file.
        data: Mappings, lists, numbers, texts, booleans and None.
        places: Where each path of keys was written: `file:line`, or the override on the command line.
        problems: Lines that report mistakes of the writing itself, such as a key that stands twice.
    """

    name: str
    data: Any
    places: dict[KeyPath, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def place(self, path: KeyPath) -> str:
        """Return where `path` was written, or the nearest key above it."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, f"{self.name}:1")

    def line(self, problem: Problem) -> str:
        """Return the line that reports a problem: `file:line: key.path: sentence`."""
        return f"{self.place(problem.path)}: {problem}"

    def error(self, problems: list[Problem]) -> RecipeError:
        """Return the error that lists `problems` and the source's own, a line each, in the order of the file."""

        def order(line: str) -> tuple[str, int]:
            number = re.match(r"(.*?):(\d+): ", line)
            return (number[1], int(number[2])) if number else ("~", 0)

        lines = dict.fromkeys([*self.problems, *map(self.line, problems)])
        return RecipeError("\n".join(sorted(lines, key=order)))


def read_source(path: Path, name: str = "") -> Source:
    """Read a YAML file.

    Args:
        path: The file.
        name: How sentences name it; its path by default.

    Raises:
        RecipeError: The file cannot be read, or is not YAML.
    """
    name = name or str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(expected(name, "a recipe that can be read", _reason(error))) from error
    return parse_source(text, name)


def parse_source(text: str, name: str) -> Source:
    """Parse YAML; arguments and errors as for `read_source`."""
    try:
        node = yaml.compose(text, Loader=_Loader)
        reader = _Reader(name)
        data = reader.read(node, ()) if node is not None else None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        reason = getattr(error, "problem", None) or str(error)
        raise RecipeError(f"{name}:{line}: expected YAML, got a mistake: {reason}.") from error
    return Source(name, data, reader.places, tuple(reader.problems))


def parse_value(text: str) -> Any:
    """Read one value as a recipe would (`3e-4`, `[32, 128]`, `{name: aligned}`, a text)."""
    source = parse_source(text, "value")
    if source.problems:
        raise RecipeError(source.problems[0])
    return source.data


class _Reader:
    def __init__(self, name: str) -> None:
        self.name = name
        self.places: dict[KeyPath, str] = {}
        self.problems: list[str] = []
        self.open: list[yaml.Node] = []

    def read(self, node: yaml.Node, path: KeyPath) -> Any:
        """Return the data of `node`, noting the line of each key and item."""
        if node in self.open:
            line = node.start_mark.line + 1
            raise RecipeError(f"{self.name}:{line}: expected data that ends, got an alias inside its own anchor.")
        self.open.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return self.mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                return [self.item(item, (*path, number)) for number, item in enumerate(node.value)]
            return self.scalar(node)
        finally:
            self.open.pop()

    def item(self, node: yaml.Node, path: KeyPath) -> Any:
        self.places[path] = f"{self.name}:{node.start_mark.line + 1}"
        return self.read(node, path)

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value in node.value:
            line = key_node.start_mark.line + 1
            key = str(key_node.value)
            here = (*path, key)
            if key in data:
                advice = f"It stands at {self.places[here]} already: delete one."
                where = f"{self.name}:{line}: {dotted(here)}"
                self.problems.append(expected(where, "each key once", f"'{key}' again", advice))
                continue
            self.places[here] = f"{self.name}:{line}"
            data[key] = self.read(value, here)
        return data

    def scalar(self, node: yaml.Node) -> Any:
        text = node.value
        kind = node.tag.rpartition(":")[2]
        if kind == "int":
            return int(text.replace("_", ""), 16 if "x" in text else 10)
        if kind == "float":
            return float(re.sub(r"\.(?=inf|nan)", "", text.replace("_", "").lower()))
        if kind == "bool":
            return text.lower() == "true"
        if kind == "null":
            return None
        return text


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, IsADirectoryError):
        return "a folder"
    return " ".join(str(error).split()).rstrip(".")
