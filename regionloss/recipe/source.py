"""YAML as plain data, with the line of every key.

PyYAML alone reads `3e-4` as a text and `yes` as a boolean, and lets the last of two equal keys win. Here the first is
a number, the second a text, and the third a mistake. Data are bounded before they are held: levels, characters once
aliases are written out, and the bits of a number.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from regionloss.errors import RecipeError, expected, reason_of
from regionloss.hooks.validation import Path as KeyPath
from regionloss.hooks.validation import Problem, dotted, shown

#: Mistakes that are listed, in the order of the file.
MOST_TOLD = 100
#: What neither a path nor a file of text can hold.
UNWRITABLE = re.compile("[\0\ud800-\udfff]")
_TAG = "tag:yaml.org,2002:"
_SCALARS = {
    "null": (re.compile(r"~|null|Null|NULL|"), "~nN\0"),
    "bool": (re.compile(r"true|True|TRUE|false|False|FALSE"), "tTfF"),
    "int": (re.compile(r"[-+]?[0-9][0-9_]*|0x[0-9a-fA-F]+"), "-+0123456789"),
    "float": (
        re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"),
        "-+.0123456789",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Bounds:
    """How much a recipe may be.

    Args:
        levels: Largest depth of keys and lists inside one another.
        values: Keys, texts, numbers, lists and mappings, each alias written out.
        characters: Largest number of characters in the file, and in its keys and texts with each alias written out.
    """

    levels: int = 50
    values: int = 10_000
    characters: int = 500_000


RECIPE = Bounds()
#: A resolved recipe says more than the recipe that it was made from.
RESOLVED = Bounds(100, 50_000, 2_000_000)


class _Loader(yaml.SafeLoader):
    """PyYAML's reader with the scalars of YAML 1.2; it stops where data are beyond bounds."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def __init__(self, text: str, where: str, bounds: Bounds) -> None:
        super().__init__(text)
        self.where, self.bounds, self.level, self.values = where, bounds, 0, 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose a node with all that it holds."""
        self.level += 1
        self.values += 1
        _refuse_beyond(self.bounds, f"{self.where}:{self.line + 1}", levels=self.level - 1, values=self.values)
        node = super().compose_node(parent, index)
        self.level -= 1
        return node


def _refuse_beyond(bounds: Bounds, where: str, **found: int) -> None:
    units = {
        "levels": "levels of keys and lists inside one another",
        "values": "values with each alias written out",
        "characters": "characters with each alias written out",
    }
    for name, number in found.items():
        most = getattr(bounds, name)
        if number > most:
            raise RecipeError(expected(where, f"at most {most} {units[name]}", "more", "Is it a recipe?"))


for _name, (_pattern, _first) in _SCALARS.items():
    _whole = re.compile(f"^(?:{_pattern.pattern})$")
    _Loader.add_implicit_resolver(f"{_TAG}{_name}", _whole, [c.replace("\0", "") for c in _first])


@dataclass(frozen=True)
class WrittenRecipe:
    """A recipe as it was written.

    Args:
        name: Name of the file in sentences.
        data: Mappings, lists, numbers, texts, booleans and None.
        places: Place at which each path of keys was written: `file:line`, or the override on the command line.
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
        ordered = sorted(lines, key=order)
        rest = [f"And {len(ordered) - MOST_TOLD} mistakes more."] if len(ordered) > MOST_TOLD else []
        return RecipeError("\n".join(ordered[:MOST_TOLD] + rest))


def read_yaml(path: Path, bounds: Bounds = RECIPE) -> WrittenRecipe:
    """Read a YAML file.

    Args:
        path: Path of the file.
        bounds: Largest size of the file.

    Raises:
        RecipeError: The file cannot be read, is not YAML, or is beyond the bounds.
    """
    try:
        size = path.stat().st_size
        text = path.read_text(encoding="utf-8") if size <= 4 * bounds.characters else ""
    except (OSError, ValueError) as error:
        raise RecipeError(expected(str(path), "a recipe that can be read", reason_of(error))) from error
    _refuse_beyond(bounds, str(path), characters=size // 4)
    return parse_yaml(text, str(path), bounds)


def parse_yaml(text: str, name: str, bounds: Bounds = RECIPE) -> WrittenRecipe:
    """Parse YAML that sentences call `name`; other arguments and errors as for `read_yaml`."""
    _refuse_beyond(bounds, name, characters=len(text))
    reader, node = _Reader(name, bounds), _composed(text, name, bounds)
    data = reader.read(node, ()) if node is not None else None
    return WrittenRecipe(name, data, reader.places, tuple(reader.problems))


def parse_value(text: str, level: int = 0) -> Any:
    """Read one value as a recipe would (`3e-4`, `[32, 128]`, `{name: aligned}`, a text), `level` levels deep in it."""
    source = parse_yaml(text, "value", replace(RECIPE, levels=RECIPE.levels - level))
    if source.problems:
        raise RecipeError(source.problems[0])
    return source.data


def _composed(text: str, name: str, bounds: Bounds) -> yaml.Node | None:
    line = 0
    try:
        loader = _Loader(text, name, bounds)
        try:
            return loader.get_single_node()
        finally:
            line = loader.line
    except RecipeError:
        raise
    # PyYAML itself stumbles over numbers in escapes and directives.
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line if mark else line
        reason = getattr(error, "problem", None) or reason_of(error)
        raise RecipeError(f"{name}:{line + 1}: expected YAML, got a mistake: {reason}.") from error


class _Reader:
    def __init__(self, name: str, bounds: Bounds) -> None:
        self.name, self.bounds, self.values, self.characters = name, bounds, 0, 0
        self.places: dict[KeyPath, str] = {}
        self.problems: list[str] = []
        self.open: list[yaml.Node] = []

    def read(self, node: yaml.Node, path: KeyPath) -> Any:
        """Return the data of `node`, noting the line of each key and item."""
        if node in self.open:
            raise self.refused(node, "data that ends", "an alias inside its own anchor")
        self.values += 1
        _refuse_beyond(self.bounds, self.place(node), levels=len(path), values=self.values)
        self.open.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return self.mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                self.refuse_tag(node, "seq")
                return [self.item(item, (*path, number)) for number, item in enumerate(node.value)]
            return self.scalar(node)
        finally:
            self.open.pop()

    def place(self, node: yaml.Node) -> str:
        return f"{self.name}:{node.start_mark.line + 1}"

    def refused(self, node: yaml.Node, wanted: str, got: str, advice: str = "") -> RecipeError:
        return RecipeError(expected(self.place(node), wanted, got, advice))

    def refuse_tag(self, node: yaml.Node, *allowed: str) -> None:
        if node.tag not in {f"{_TAG}{kind}" for kind in allowed}:
            tag = node.tag.replace(_TAG, "!!")
            raise self.refused(node, "plain data", f"the tag '{shown(tag)[1:-1]}'", "Leave it out.")

    def item(self, node: yaml.Node, path: KeyPath) -> Any:
        self.places[path] = self.place(node)
        return self.read(node, path)

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        self.refuse_tag(node, "map")
        data: dict[str, Any] = {}
        for key_node, value in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self.refused(key_node, "a text as key", "a list or a mapping")
            key = self.text(key_node)
            here = (*path, key)
            if key in data:
                advice = f"It stands at {self.places[here]} already: delete one."
                where = f"{self.place(key_node)}: {dotted(here)}"
                self.problems.append(expected(where, "each key once", f"'{key}' again", advice))
                continue
            self.places[here] = self.place(key_node)
            data[key] = self.read(value, here)
        return data

    def text(self, node: yaml.Node) -> str:
        """Return what is written at a scalar, where it can be written to a file and be part of a path."""
        text = str(node.value)
        self.characters += len(text)
        _refuse_beyond(self.bounds, self.place(node), characters=self.characters)
        if UNWRITABLE.search(text):
            raise self.refused(node, "text without NUL and halves of characters", shown(text))
        return text

    def scalar(self, node: yaml.Node) -> Any:
        text, kind = self.text(node), node.tag.rpartition(":")[2]
        self.refuse_tag(node, "str", *_SCALARS)
        if kind != "str" and not _SCALARS[kind][0].fullmatch(text):
            raise self.refused(node, f"a value of the tag '!!{kind}'", shown(text), "Leave the tag out.")
        if kind == "int":
            return self.integer(node, text)
        if kind == "float":
            value = float(re.sub(r"\.(?=inf|nan)", "", text.replace("_", "").lower()))
            if math.isinf(value) and "inf" not in text.lower():
                raise self.refused(node, "a number below 1.8e308", shown(text)[1:-1], "Infinity is written '.inf'.")
            return value
        if kind == "bool":
            return text.lower() == "true"
        return None if kind == "null" else text

    def integer(self, node: yaml.Node, text: str) -> int:
        digits = text.replace("_", "")
        # Whether a number of 5,000 digits can be read at all is a setting of Python.
        value = int(digits, 16 if "x" in digits else 10) if len(digits) < 25 else 2**64
        if not -(2**63) <= value < 2**64:
            advice = "If it is a text, put it in quotes."
            raise self.refused(node, "an integer of at most 64 bits", shown(text)[1:-1], advice)
        return value
