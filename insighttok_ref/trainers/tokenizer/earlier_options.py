"""Options of the earlier trainer `comparison`, read as what says the same now; until 0.3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

KEYS = ("images", "train_images", "test_images", "test_faces", "mix", "text", "max_files")
SHARES = {"text": 0.7, "face": 0.15, "photo": 0.15}


def read_earlier(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a trainer's options in today's keys.

    Keys of today stay as they are, so that one of the earlier ones may still change a recipe of today; so does what
    cannot be read, for the check that follows.
    """
    data, phases = options.get("data"), options.get("phases")
    if not isinstance(data, dict) or not set(KEYS) & set(data):
        return options
    try:
        now = {**options, "data": data_of(data)}
        if "sources" not in data and isinstance(phases, list):
            now["phases"] = [{"batch_size": 16, "lr": 1e-3, **phase} for phase in phases]
    except (AttributeError, KeyError, TypeError, ValueError):
        return options
    return now


def data_of(given: dict[str, Any]) -> dict[str, Any]:
    """Return `data` in today's keys: what a source is, its share and its test stand with the source."""
    now = {key: value for key, value in given.items() if key not in KEYS}
    begun = "sources" not in now
    if begun:
        now = {"image_size": 64, "workers": 0, "epoch": 8192, **now}
    sources = packaged() if begun else {name: dict(source) for name, source in now["sources"].items()}
    if given.get("images") is not None:
        sources = {"folder": {"images": given["images"], "annotate": True, "share": 0.5, "test": 16}, **sources}
    if "train_images" in given:
        now["epoch"] = given["train_images"]
    if "mix" in given:
        sources = {name: source if name == "folder" else {**source, "share": 0.0} for name, source in sources.items()}
    for name, changes in changed(given).items():
        if name in sources:
            sources[name] |= changes
    used = {name: source for name, source in sources.items() if source.get("share", 1) or source.get("test")}
    return {**now, "sources": used if begun else sources}


def packaged() -> dict[str, dict[str, Any]]:
    """Return the sources that every recipe had."""
    sources: dict[str, dict[str, Any]] = {
        "text": {"render": {}, "test": 200},
        "face": {"packaged": "face", "test": 16},
        "photo": {"packaged": "photo"},
    }
    return {name: {**source, "share": SHARES[name]} for name, source in sources.items()}


def changed(given: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what earlier keys say of each source."""
    found: dict[str, dict[str, Any]] = {name: {} for name in ("text", "face", "photo", "folder")}
    for name, share in (given.get("mix") or {}).items():
        found.setdefault(name, {})["share"] = share
    if "text" in given:
        found["text"]["render"] = given["text"]
    for name, key in (("text", "test_images"), ("face", "test_faces"), ("folder", "test_faces")):
        if key in given:
            found[name]["test"] = given[key]
    if "max_files" in given:
        found["folder"]["max_files"] = given["max_files"]
    return found
