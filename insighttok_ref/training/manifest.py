"""The list of a checkpoint's files, with the hash of each: what is not in it, or not as it says, is not trusted."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
VERSION = 2


def listed(folder: Path, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return size and SHA-256 of files of a folder by their names, and see that they are on disk."""
    found = {}
    for name in names:
        path = folder / name
        found[name] = {"size": path.stat().st_size, "sha256": sha256(path)}
        sync(path)
    return found


def write_manifest(folder: Path, files: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the list of a folder's files, as `listed` returns it, and see that it is on disk."""
    manifest = folder / MANIFEST
    told = {"version": VERSION, "files": {name: files[name] for name in sorted(files)}}
    manifest.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    sync(manifest)
    sync(folder)


def damage(folder: Path, needed: str) -> str | None:
    """Return what is wrong with a checkpoint, with the name of the file, or None.

    Args:
        folder: Folder of the checkpoint.
        needed: Name of a file that every checkpoint has.
    """
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        wanted = {name: (files[name]["size"], files[name]["sha256"]) for name in (needed, *files)}
    except (OSError, ValueError, KeyError, TypeError):
        return f"{folder / MANIFEST}: expected the list of a checkpoint's files, got none that can be read"
    for name, (size, digest) in wanted.items():
        path = folder / name
        if not path.is_file():
            return f"{path}: expected a file of {size} bytes, got none"
        if path.stat().st_size != size:
            return f"{path}: expected {size} bytes, got {path.stat().st_size}"
        if sha256(path) != digest:
            return f"{path}: expected the contents that were saved, got others (SHA-256 differs)"
    return None


def sha256(path: Path) -> str:
    """Return the hash of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Have the system write a file, or a folder's list of files, to disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
