"""What of a recipe decides the weights, and where two recipes differ in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import islice
from typing import Any

#: Options that decide no weight, by where they are.
PACE = {
    "": ("evaluation", "log"),
    "data": ("workers", "prefetch", "start_workers"),
    "model": ("checkpointing", "channels_last"),
}


def decisive(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides the weights: where and how fast it computes, and what it reports, may change after a stop."""
    found: dict[str, Any] = json.loads(json.dumps(recipe))
    options = found["trainer"]["options"]
    for place, names in PACE.items():
        for name in names:
            (options.get(place) or {} if place else options).pop(name, None)
    options["engine"] = {"precision": options["engine"]["precision"]}
    return found


def changed(before: Any, now: Any, path: str = "") -> list[str]:
    """Return the paths of keys at which two recipes differ, the first five."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = sorted({*before, *now})
        found = [p for key in keys for p in changed(before.get(key), now.get(key), f"{path}.{key}" if path else key)]
        return list(islice(found, 5))
    return [] if before == now else [path]
