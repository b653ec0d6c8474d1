"""Networks of which only the shapes matter: they are built without their weight files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_SHAPES_ALONE: ContextVar[bool] = ContextVar("shapes_alone", default=False)


@contextmanager
def shapes_alone() -> Iterator[None]:
    """Let networks that are built inside keep the weights that their constructors drew, whether files are here or not.

    For what shapes decide: memory, operations. What such a network says of an image is noise.
    """
    token = _SHAPES_ALONE.set(True)
    try:
        yield
    finally:
        _SHAPES_ALONE.reset(token)


def values_matter() -> bool:
    """Return whether a network that is built now needs its weights; False inside `shapes_alone`."""
    return not _SHAPES_ALONE.get()
