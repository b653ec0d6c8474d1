"""Data from a recipe against a type annotation: every mistake at once, each with its path and a sentence.

Data is checked as strict JSON: a list is a tuple and a text is a path, but '3' is no number, true no integer.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import types
import typing
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from typing_extensions import is_typeddict

from regionloss.compat.pydantic import validate_json
from regionloss.errors import RegionLossError, did_you_mean

Path = tuple[str | int, ...]
#: Pydantic's details by path in the data; True beside the path where they say that a key is missing.
Details = dict[tuple[Path, bool], list[dict[str, Any]]]

UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
MISSING = ("missing", "missing_argument", "missing_keyword_only_argument")
WORDS = {
    "a valid array": "a list",
    "an object": "a mapping",
    "a valid dictionary": "a mapping",
    "a valid string": "a text",
    "a valid boolean": "true or false",
    "a valid integer": "an integer",
    "a valid number": "a number",
}


@dataclasses.dataclass(frozen=True)
class Problem:
    """One mistake: the path of keys that leads to it, and what was expected and came.

    Args:
        path: Keys that lead to the value, from the outermost.
        sentence: What was expected, and what came.
        cause: The error of a part that could not be found or imported, and hence not be looked at.
        spare: Such a part can be done without.
    """

    path: Path
    sentence: str
    cause: type[RegionLossError] | None = None
    spare: bool = False

    def __str__(self) -> str:
        return f"{dotted(self.path)}: {self.sentence}" if self.path else self.sentence


class PartError(ValueError):
    """What is wrong with a component that an option names.

    Args:
        problems: Mistakes that were found, at least one.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(" ".join(one.sentence if one.cause else str(one) for one in problems))
        self.cause = problems[0].cause


def dotted(path: Path) -> str:
    """Return `trainer.options.phases.0.steps`, as overrides on the command line write it."""
    return ".".join(str(part) for part in path)


def check(adapter: TypeAdapter[Any], annotation: Any, data: Any) -> tuple[Any, list[Problem]]:
    """Return `data` as `annotation` has it, or None, and all that is wrong with it.

    Args:
        adapter: Pydantic's adapter of `annotation`, made once by the caller.
        annotation: The type; searched for the keys that a misspelled one could have meant.
        data: Mappings, lists, numbers, texts, booleans and None.
    """
    try:
        return validate_json(adapter, json.dumps(data)), []
    except ValidationError as error:
        found: Details = {}
        for detail in error.errors(include_url=False):
            path = _path_in(data, detail["loc"], detail["type"])
            found.setdefault((path, detail["type"] in MISSING), []).append(dict(detail))
    unknown, inner = _unknown(found), {path[:depth] for path, _ in found for depth in range(len(path))}
    problems = [
        Problem(path, _sentence(annotation, data, path, details), _cause(details))
        for (path, missing), details in found.items()
        # A key that is missing because it is misspelled right beside is one mistake, not two.
        if not (missing and path and difflib.get_close_matches(str(path[-1]), unknown.get(path[:-1], []), n=1))
        # Where one member of a union fits but for a mistake inside, the other members' complaints are noise.
        and (path not in inner or any(detail["type"] == "value_error" for detail in details))
    ]
    return None, problems


def _unknown(found: Details) -> dict[Path, list[str]]:
    """The unknown keys, by the path of the mapping that has them."""
    keys: dict[Path, list[str]] = {}
    for (path, _), details in found.items():
        if path and details[0]["type"] in UNKNOWN:
            keys.setdefault(path[:-1], []).append(str(path[-1]))
    return keys


def _path_in(data: Any, loc: tuple[int | str, ...], kind: str) -> Path:
    """Keep the parts of pydantic's location that lead through `data`; others name members of a union."""
    path: list[str | int] = []
    here = data
    for number, part in enumerate(loc):
        last = number == len(loc) - 1
        inside = isinstance(here, dict) and part in here
        inside = inside or (isinstance(here, list | tuple) and isinstance(part, int) and part < len(here))
        if inside:
            here = here[part]
            path.append(part)
        elif last and kind in MISSING:
            path.append(part)
    return tuple(path)


def at(data: Any, path: Path) -> Any:
    """Return what stands at `path` in `data`, None where nothing does."""
    for part in path:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def _cause(details: list[dict[str, Any]]) -> type[RegionLossError] | None:
    errors = [detail["ctx"]["error"] for detail in details if detail["type"] == "value_error"]
    return next((error.cause for error in errors if isinstance(error, PartError)), None)


def _sentence(annotation: Any, data: Any, path: Path, details: list[dict[str, Any]]) -> str:
    kinds = {detail["type"] for detail in details}
    if kinds <= set(UNKNOWN):
        known = sorted({key for fields in schemas(annotation, path[:-1]) for key in fields})
        return f"expected a known key, got '{path[-1]}'. {did_you_mean(str(path[-1]), known)}"
    if kinds <= set(MISSING):
        return "expected a value, got none. It has no default."
    if "value_error" in kinds:
        return next(str(d["ctx"]["error"]) for d in details if d["type"] == "value_error")
    value = at(data, path)
    wanted = " or ".join(dict.fromkeys(_wanted(detail) for detail in details if detail["type"] not in UNKNOWN))
    sentence = f"expected {wanted}, got {shown(value)}."
    options = [word for detail in details for word in detail.get("ctx", {}).get("expected", "").split("'")[1::2]]
    close = difflib.get_close_matches(str(value), options, n=1) if isinstance(value, str) else []
    return f"{sentence} Did you mean '{close[0]}'?" if close else sentence


def _wanted(detail: dict[str, Any]) -> str:
    message = str(detail["msg"])
    if detail["type"] == "needs_python_object":
        return "an object that only Python code can give"
    if detail["type"] in ("too_long", "too_short"):
        context = detail["ctx"]
        bound = "at most" if detail["type"] == "too_long" else "at least"
        return f"{bound} {context.get('max_length', context.get('min_length'))} items"
    wanted = message.removeprefix("Input should be ")
    wanted = WORDS.get(wanted, wanted)
    return f"a number {wanted}" if wanted.startswith(("greater", "less")) else wanted


def shown(value: Any) -> str:
    """Return a short `repr` as a recipe would write it."""
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return short(text.encode("utf-8", "backslashreplace").decode("utf-8"), 60)


def short(text: str, most: int = 100) -> str:
    """Return `text`, cut where it has more than `most` characters."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def schemas(annotation: Any, path: Path) -> Iterator[dict[str, Any]]:
    """Yield `{key: annotation}` of each model, dataclass or typed mapping that can stand at `path`."""
    for kind in _members(annotation):
        origin, args = typing.get_origin(kind), typing.get_args(kind)
        if not path:
            if fields := _fields(kind):
                yield fields
        elif fields := _fields(kind):
            if path[0] in fields:
                yield from schemas(fields[str(path[0])], path[1:])
        elif args and isinstance(path[0], int):
            fixed = origin is tuple and args[-1] is not Ellipsis
            yield from schemas(args[min(path[0], len(args) - 1)] if fixed else args[0], path[1:])
        elif len(args) == 2:
            yield from schemas(args[1], path[1:])


def _members(annotation: Any) -> Iterator[Any]:
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        for member in typing.get_args(annotation):
            yield from _members(member)
    elif origin in (typing.Annotated, typing.Required, typing.NotRequired):
        yield from _members(typing.get_args(annotation)[0])
    else:
        yield annotation


def _fields(kind: Any) -> dict[str, Any]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return {name: field.annotation for name, field in kind.model_fields.items()}
    if dataclasses.is_dataclass(kind) or is_typeddict(kind):
        return typing.get_type_hints(kind, include_extras=True)
    return {}
