"""The list of a checkpoint's files, with the hash of each: what is not in it, or not as it says, is not trusted."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from regionloss.runs import gather_objects, over_ranks

MANIFEST = "manifest.json"
VERSION = 2


class ListedFile(NamedTuple):
    """What the list says of a file."""

    name: str
    size: int
    sha256: str


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

    Every rank calls it and looks at a share of the files; all get the same answer.

    Args:
        folder: Folder of the checkpoint.
        needed: Name of a file that every checkpoint has.
    """
    wanted = gather_objects(entries(folder, needed))[0]
    if wanted is None:
        return f"{folder / MANIFEST}: expected the list of a checkpoint's files, got none that can be read"
    largest = sorted(wanted, key=lambda one: -one.size)  # ranks take them in turns
    return next(filter(None, over_ranks(lambda some: [flaw(folder, one) for one in some], largest)), None)


def entries(folder: Path, needed: str) -> list[ListedFile] | None:
    """Return what a checkpoint's list says, and None where it cannot be read."""
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        names = dict.fromkeys([needed, *files])
        return [ListedFile(name, int(files[name]["size"]), files[name]["sha256"]) for name in names]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def flaw(folder: Path, wanted: ListedFile) -> str | None:
    """Return what is wrong with a file, or None."""
    path = folder / wanted.name
    if not path.is_file():
        return f"{path}: expected a file of {wanted.size} bytes, got none"
    if path.stat().st_size != wanted.size:
        return f"{path}: expected {wanted.size} bytes, got {path.stat().st_size}"
    if sha256(path) != wanted.sha256:
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
