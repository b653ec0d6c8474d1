"""Private parts of fsspec."""

from __future__ import annotations

from typing import Any


def parent_of(system: Any, path: str) -> str:
    """Return the folder of a path in an fsspec file system, which alone knows where its root ends."""
    return str(system._parent(path))
