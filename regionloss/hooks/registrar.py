"""The `register` functions that hooks receive: signatures are those of `specs.py`, values are checked, records kept."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, get_type_hints

from regionloss.errors import PluginError, expected
from regionloss.hooks import specs
from regionloss.hooks.records import (
    COMPONENT_KINDS,
    Component,
    Plugin,
    RegionKind,
    Registered,
    TermRecord,
    WeightRecord,
)
from regionloss.hooks.term_parts import PARTS
from regionloss.limits import is_number

NAME = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")
TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
SOURCE = re.compile(r"pip:[^:=]+==[^:]+:.+|npm:.+@[^:]+:.+|https://.+|path:.*")
#: What `register` is called with -> the record that it makes.
RECORDS: dict[type, type[Registered]] = {
    specs.RegisterComponent: Component,
    specs.RegisterTarget: Component,
    specs.RegisterTerm: TermRecord,
    specs.RegisterRegionKind: RegionKind,
    specs.RegisterWeights: WeightRecord,
}
Values = Mapping[str, Any]
#: Of a value, beside the others of its call: what a record keeps of it, or a ValueError that says what was expected.
Check = Callable[[Any, Values], Any]


@cache
def schema_of(hook: str) -> tuple[type, inspect.Signature]:
    """Return the protocol of a hook's `register`, as typed in `specs.py`, and its signature."""
    protocol = get_type_hints(getattr(specs, hook))["register"]
    whole = inspect.signature(protocol.__call__)
    return protocol, whole.replace(parameters=[p for name, p in whole.parameters.items() if name != "self"])


class Registrar:
    """Collects the records of one plugin; `for_hook` gives each hook its own `register`."""

    def __init__(self, plugin: Plugin) -> None:
        self.plugin = plugin
        self.records: list[Registered] = []

    def for_hook(self, hook: str) -> Callable[..., None]:
        """Return the `register` function of `hook`; calls that do not fit its signature are TypeErrors."""
        protocol, signature = schema_of(hook)
        record = RECORDS[protocol]
        plugin = self.plugin
        origin: dict[str, Any] = {
            "plugin": plugin.name,
            "distribution": plugin.distribution,
            "version": plugin.version,
        }
        if record is Component:
            origin |= {"kind": COMPONENT_KINDS[hook], "file": plugin.file}

        def register(*args: Any, **options: Any) -> None:
            for name in options.keys() - signature.parameters.keys():  # before what is then missing
                raise TypeError(f"register() got an unexpected keyword argument '{name}'")
            given = signature.bind(*args, **options)
            given.apply_defaults()
            self._keep(record(**origin, **checked(dict(given.arguments), signature)))

        return register

    def _keep(self, record: Registered) -> None:
        def key(r: Registered) -> tuple[object, ...]:
            return type(r), getattr(r, "kind", None) if isinstance(r, Component) else None, r.name

        if any(key(other) == key(record) for other in self.records):
            raise PluginError(f"'{record.name}' is registered twice. Give the two different names.")
        if getattr(record, "default", False) and any(getattr(r, "default", False) for r in self.records):
            raise PluginError(f"{record.name}: expected one term with default=True in a plugin, got two.")
        self.records.append(record)


def checked(values: dict[str, Any], signature: inspect.Signature) -> dict[str, Any]:
    """Return values as a record keeps them, lists frozen; raises PluginError for one that its argument refuses."""
    name = values["name"]
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise PluginError(expected("name", "a name of lower-case letters, digits, '-', '_' and '.'", repr(name)))
    kept = {}
    for key, value in values.items():
        check = CHECKS.get(key) or CHECKS[str(signature.parameters[key].annotation)]
        try:
            kept[key] = check(value, values)
        except ValueError as error:
            advice = "Hooks name their classes and do not import them." if key == "target" else ""
            raise PluginError(expected(f"{name}: {key}", str(error), repr(value), advice)) from None
    return kept


def _plain(kind: type, wanted: str) -> Check:
    def check(value: Any, _: Values) -> Any:
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise ValueError(wanted)
        return value

    return check


def _matching(fits: Callable[[str], object], wanted: str) -> Check:
    def check(value: Any, _: Values) -> str:
        if not isinstance(value, str) or not fits(value):
            raise ValueError(wanted)
        return value

    return check


def _weight(value: Any, _: Values) -> float:
    if not is_number(value, 0, sys.float_info.max):
        raise ValueError("a finite weight, 0 or more")
    return float(value)


def _names(value: Any, _: Values) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ValueError("a list of names")
    found = tuple(value)
    if not all(isinstance(name, str) for name in found):
        raise ValueError("a list of names")
    return found


def _options(value: Any, _: Values) -> Mapping[str, Mapping[str, object]]:
    parts = {} if value is None else value
    wanted = f"mappings of options, under keys among {', '.join(PARTS)}"
    if not isinstance(parts, Mapping) or not all(isinstance(options, Mapping) for options in parts.values()):
        raise ValueError(wanted)
    if not parts.keys() <= set(PARTS):
        raise ValueError(wanted)
    return MappingProxyType({part: MappingProxyType(dict(options)) for part, options in parts.items()})


def _pairs(value: Any, values: Values) -> tuple[tuple[int, int], ...]:
    wanted = f"pairs of different numbers below {len(values['keypoints'])}"
    try:
        pairs = tuple((int(left), int(right)) for left, right in value)
    except (TypeError, ValueError):
        raise ValueError(wanted) from None
    numbers = [number for pair in pairs for number in pair]
    if len(set(numbers)) != len(numbers) or not set(numbers) <= set(range(len(values["keypoints"]))):
        raise ValueError(wanted)
    return pairs


_line = _matching(lambda text: text.strip() and "\n" not in text, "one line of text")
#: By an argument's name, else by its type.
CHECKS: dict[str, Check] = {
    "summary": _line,
    "licence": _line,
    "filename": _line,
    "target": _matching(TARGET.fullmatch, "a string 'package.module:Name'"),
    "sha256": _matching(re.compile("([0-9a-f]{64})?").fullmatch, "64 hexadecimal digits or ''"),
    "source": _matching(
        SOURCE.fullmatch, "'pip:NAME==VERSION:MEMBER', 'npm:NAME@VERSION:MEMBER', 'https://...' or 'path:'"
    ),
    "options": _options,
    "weight": _weight,
    "flip_pairs": _pairs,
    "str": _plain(str, "a text"),
    "int": _plain(int, "a whole number"),
    "bool": _plain(bool, "True or False"),
    "Sequence[str]": _names,
}
