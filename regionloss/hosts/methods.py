"""Methods of somebody else's class, and functions that stand in for them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any


def item_of(batch: Any, place: str | int) -> Any:
    """Return what a batch holds at a key, a position or an attribute.

    Raises:
        LookupError: It holds nothing there.
    """
    try:
        return batch[place] if isinstance(batch, Mapping) or isinstance(place, int) else getattr(batch, place)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise LookupError(place) from error


def first_argument(base: type, name: str) -> str | None:
    """Return the name of the first argument of a class's method, besides `self`; None where it takes none."""
    if isinstance(inspect.getattr_static(base, name, None), staticmethod | classmethod):
        return None
    method: Any = getattr(base, name, None)
    try:
        parameters = list(inspect.signature(method).parameters.values())
    except (TypeError, ValueError):
        return None
    if parameters and parameters[0].kind is inspect.Parameter.VAR_POSITIONAL:
        return parameters[0].name  # f(*args): self is the first of them
    return next((one.name for one in parameters[1:] if one.kind is not inspect.Parameter.VAR_KEYWORD), None)


def like(method: Callable[..., Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function with the name, the docstring and the signature of a method.

    Without its `__wrapped__`: accelerate puts what it finds there in the function's place when it unwraps a model.
    """
    functools.update_wrapper(function, method)
    del function.__wrapped__  # type: ignore[attr-defined]
    function.__signature__ = inspect.signature(method)  # type: ignore[attr-defined]
    return function
