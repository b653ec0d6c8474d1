"""Schemas of options as rows: pydantic models, dataclasses, typed mappings and constructors, each down to its depth."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import annotated_types
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from typing_extensions import is_typeddict

from docs.generator.text import arguments

REQUIRED = object()
#: Stands for a mapping whose keys have a table of their own.
KEYS = "keys"
NAMES = {int: "whole number", float: "number", str: "text", bool: "true or false", Path: "path", Any: "anything"}
BOUNDS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}


class Row(NamedTuple):
    """One key: its name, its annotation, its default (`REQUIRED` where there is none), and what it means."""

    name: str
    annotation: Any
    default: Any
    meaning: str


def rows_of(schema: Any) -> list[Row]:
    """Return the keys of a schema in the order of its source."""
    meanings = meanings_of(schema)
    keys = list(keys_of(schema))
    return [
        Row(name.removesuffix("_"), kind, default, meanings.get(name) or description(kind))  # `from_` is typed `from`
        for name, kind, default in keys
    ]


def description(annotation: Any) -> str:
    """Return what an annotation says of itself; empty where it says nothing."""
    inside = typing.get_args(annotation)
    if typing.get_origin(annotation) in (typing.NotRequired, typing.Required):
        return description(inside[0])
    texts = (getattr(one, "description", None) for one in inside[1:])
    return next((text for text in texts if text), "") if typing.get_origin(annotation) is Annotated else ""


def keys_of(schema: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, annotation and default of each key."""
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        for name, field in schema.model_fields.items():
            kind = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
            default = field.get_default(call_default_factory=True)
            yield name, kind, REQUIRED if default is PydanticUndefined else default
    elif is_typeddict(schema):
        given = inspect.signature(schema.__constructor__).parameters
        for name, kind in typing.get_type_hints(schema, include_extras=True).items():
            default = given[name].default if name in given else None
            yield name, kind, REQUIRED if default is inspect.Parameter.empty else default
    else:
        target = schema.__init__ if inspect.isclass(schema) else schema
        hints = typing.get_type_hints(target, include_extras=True)
        factories = {f.name: f.default_factory for f in dataclasses.fields(schema)} if is_dataclass(schema) else {}
        for parameter in list(inspect.signature(schema).parameters.values()):
            factory: Any = factories.get(parameter.name)
            default = factory() if callable(factory) else parameter.default
            empty = default is inspect.Parameter.empty
            yield parameter.name, hints[parameter.name], REQUIRED if empty else default


def meanings_of(schema: Any) -> dict[str, str]:
    """Return what the docstrings of a schema, and of the classes that it extends, say of each key."""
    source = getattr(schema, "__constructor__", schema)
    found: dict[str, str] = {}
    for base in reversed(inspect.getmro(source)):
        found |= dict(arguments(inspect.cleandoc(base.__doc__ or "")))
    return found


def nested(annotation: Any) -> tuple[str, Any] | None:
    """Return what is said behind a key to reach the schema inside of its value, and that schema; None for none."""
    origin, inside = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated or origin in (typing.NotRequired, typing.Required):
        return nested(inside[0])
    if origin in (types.UnionType, typing.Union):
        return next((one for part in inside if (one := nested(part)) is not None), None)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        suffix, inside = ".NAME", inside[1:]
    elif isinstance(origin, type) and issubclass(origin, Sequence):
        suffix = "[]"
    else:
        return ("", annotation) if is_schema(annotation) else None
    found = next((one for part in inside if (one := nested(part)) is not None), None)
    return None if found is None else (suffix + found[0], found[1])


def is_schema(kind: Any) -> bool:
    """Whether an annotation is a mapping with known keys."""
    return is_typeddict(kind) or is_dataclass(kind) or (isinstance(kind, type) and issubclass(kind, BaseModel))


def is_dataclass(kind: Any) -> bool:
    """Whether an annotation is a dataclass."""
    return isinstance(kind, type) and dataclasses.is_dataclass(kind)


def type_text(annotation: Any) -> str:
    """Return a type in words."""
    origin, inside = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return " ".join([type_text(inside[0]), *bounds(inside[1:])])
    if origin in (typing.NotRequired, typing.Required):
        return type_text(inside[0])
    if origin is typing.Literal:
        return ", ".join(f"`{value}`" for value in inside)
    if origin in (types.UnionType, typing.Union):
        return " or ".join(type_text(part) for part in inside if part is not type(None))
    if origin is tuple and inside[-1] is not Ellipsis:
        return f"[{', '.join(type_text(part) for part in inside)}]"
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return f"list: {type_text(inside[0])}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"mapping: {type_text(inside[1])}"
    return KEYS if is_schema(annotation) else NAMES.get(annotation, getattr(annotation, "__name__", "anything"))


def bounds(metadata: tuple[Any, ...]) -> Iterator[str]:
    """Yield the limits of a number, or the least length of a list."""
    for one in metadata:
        if isinstance(one, annotated_types.MinLen):
            yield f"({one.min_length} at least)"
        for source in (one, *getattr(one, "metadata", ())):
            for name, words in BOUNDS.items():
                if isinstance(limit := getattr(source, name, None), int | float):
                    yield f"{words} {int(limit) if limit == int(limit) else limit}"
