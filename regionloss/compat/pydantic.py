"""What differs by version of pydantic."""

from __future__ import annotations

import inspect
from typing import Any

from pydantic import TypeAdapter

#: Before 2.12, models that let unknown keys pass could not be overruled.
CAN_CLOSE = "extra" in inspect.signature(TypeAdapter.validate_json).parameters
CLOSED: dict[str, Any] = {"extra": "forbid"} if CAN_CLOSE else {}


def validate_json(adapter: TypeAdapter[Any], text: str) -> Any:
    """Return strict JSON as an adapter's type has it, without keys that it does not know."""
    return adapter.validate_json(text, strict=True, **CLOSED)
