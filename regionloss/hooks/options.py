"""A constructor's signature as the schema of its options: nothing about an option is written twice."""

from __future__ import annotations

import dataclasses
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, NotRequired, Required

from pydantic import ConfigDict, TypeAdapter
from pydantic.errors import PydanticUserError
from pydantic_core import SchemaError
from typing_extensions import TypedDict

from regionloss.hooks.validation import Problem, check

NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def checked_options(target: Callable[..., Any], options: Mapping[str, object]) -> tuple[dict[str, Any], list[Problem]]:
    """Check `options` against the signature of `target`.

    A target may have a static `read_earlier`: from the options of an earlier version to those of today; and a mapping
    `ELSEWHERE`: what to type instead of options that other programs have.

    Args:
        target: Class or function; annotated models and dataclasses are checked to their depth.
        options: Options as a recipe gives them; values that no recipe could hold (modules, tensors) pass unchecked.

    Returns:
        The arguments for `target`, converted (lists to tuples, mappings to dataclasses), and the problems.
    """
    options = getattr(target, "read_earlier", dict)(options)
    parameters = inspect.signature(target).parameters.values()
    open_ended = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)
    named = {p.name: p for p in parameters if p.kind in NAMED}
    objects = {key: value for key, value in options.items() if not _is_data(value)}
    extra = {key: value for key, value in options.items() if open_ended and key not in named}
    fields = {
        name: _required(_annotation(target, p)) if p.default is p.empty else NotRequired[_annotation(target, p)]
        for name, p in named.items()
        if name not in objects
    }
    schema, adapter = _schema(fields)
    unknown = [key for key in objects if key not in named and not open_ended]
    data = {key: value for key, value in options.items() if key not in objects and key not in extra}
    data |= dict.fromkeys(unknown)
    values, problems = check(adapter, schema, data)
    problems = [_of_elsewhere(problem, getattr(target, "ELSEWHERE", {})) for problem in problems]
    return {**(values or {}), **objects, **extra}, problems


def _of_elsewhere(problem: Problem, elsewhere: Mapping[str, str]) -> Problem:
    name = str(problem.path[0]) if len(problem.path) == 1 else ""
    sentence = f"expected an option of this trainer, got '{name}', one of other programs. {elsewhere.get(name)}"
    return dataclasses.replace(problem, sentence=sentence) if name in elsewhere else problem


def defaults_of(target: Callable[..., Any]) -> dict[str, Any]:
    """Return the default of each option that has one."""
    parameters = inspect.signature(target).parameters.items()
    return {name: parameter.default for name, parameter in parameters if parameter.default is not parameter.empty}


def _required(annotation: Any) -> Any:
    return Required[annotation]


def _schema(fields: dict[str, Any]) -> tuple[Any, TypeAdapter[Any]]:
    """A typed mapping of `fields`; unlike a model it has no attributes that an option could hide."""
    make: Any = TypedDict
    schema = make("Options", fields)
    schema.__pydantic_config__ = ConfigDict(arbitrary_types_allowed=True, extra="forbid")
    try:
        return schema, TypeAdapter(schema)
    except (PydanticUserError, SchemaError):
        if len(fields) == 1:
            return _schema({name: _loosened(field) for name, field in fields.items()})
    # One annotation that pydantic cannot read (a Protocol, say) must not cost the checks of the others.
    readable: dict[str, Any] = {}
    for name, field in fields.items():
        readable |= _schema({name: field})[0].__annotations__
    return _schema(readable)


def _loosened(field: Any) -> Any:
    return Required[Any] if getattr(field, "__origin__", None) is Required else NotRequired[Any]


def _annotation(target: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    """The annotation as an object; Any where there is none, or where it is imported for typing only."""
    annotation = parameter.annotation
    if annotation is parameter.empty:
        return Any
    if not isinstance(annotation, str):
        return annotation
    function = inspect.unwrap(target.__init__ if inspect.isclass(target) else target)
    namespace = getattr(function, "__globals__", None) or vars(sys.modules[target.__module__])
    try:
        return eval(annotation, namespace)
    except (NameError, AttributeError, TypeError, SyntaxError):
        return Any


def _is_data(value: object) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return True
