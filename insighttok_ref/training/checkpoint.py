"""Checkpoints of a run: folders that are complete or not there, with the hash of every file."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from regionloss.disk import to_disk
from regionloss.errors import LostProcessError, WeightsError, expected
from regionloss.runs import barrier, gather_objects, rank_and_size
from regionloss.weights import read_pickled, readable

VERSION = 2
MANIFEST = "manifest.json"
STATE = "state.pt"
WHAT = "a file of a checkpoint"
#: What every checkpoint of a run says, with its type.
HISTORY = {
    "part": str,
    "finished": list,
    "recipe": str,
    "engine": str,
    "sharded": bool,
    "ranks": int,
    "threads": int,
}
#: What earlier versions did not say.
UNSAID = {"threads": 0, "sharded": False}


class Checkpoints:
    """The checkpoints of a run, newest last: `step-00001000/` holds `state.pt`, what engines wrote, and hashes.

    Every rank calls every method; the first one writes what all ranks share.

    Args:
        folder: Folder that holds checkpoints and nothing else.
        keep: Number of checkpoints that are kept, at least one.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self.folder, self.keep = folder, keep

    def all(self) -> list[Path]:
        """Return the complete ones, oldest first."""
        return sorted(path for path in self.folder.glob("step-*") if path.is_dir() and path.suffix != ".tmp")

    def save(self, step: int, state: Mapping[str, Any], write: Callable[[Path], None] = lambda folder: None) -> Path:
        """Write a checkpoint; a crash leaves it whole or not at all, and the one before it untouched.

        Args:
            step: Step of the run; names the checkpoint's folder.
            state: Plain data and tensors that all ranks share.
            write: Writes each rank's own files into a folder.

        Raises:
            DiskError: The disk is full, or takes nothing; on the rank that met it.
        """
        final = self.folder / f"step-{step:08d}"
        building, before = final.with_suffix(".tmp"), final.with_suffix(".old.tmp")
        first = rank_and_size()[0] == 0
        older = f"; {found[-1].name} is whole" if (found := self.all()) else ""
        advice = f"Make room there, and go on with --resume {self.folder.parent}{older}."
        try:
            with to_disk(building, advice):
                self._build(state, write, building, first)
                if first:
                    self._put(building, final, before)
        except BaseException as error:
            if first:
                remove(building)  # it may be what fills the disk
                if before.exists() and not final.exists():
                    before.rename(final)
            elif not building.is_dir() and isinstance(error, Exception):
                got = "one that has given it up"
                raise LostProcessError(expected("rank 0", f"a process that writes {final.name}", got)) from error
            raise
        barrier()
        return final

    def _build(self, state: Mapping[str, Any], write: Callable[[Path], None], building: Path, first: bool) -> None:
        if first:
            for left in self.folder.glob("*.tmp"):  # of a run that was killed
                shutil.rmtree(left, ignore_errors=True)
            building.mkdir(parents=True)
        barrier()
        write(building)
        if first:
            torch.save({"version": VERSION, **state}, building / STATE)
        barrier()

    def _put(self, building: Path, final: Path, before: Path) -> None:
        write_manifest(building)
        if final.exists():  # the end of a part is saved where its last step was
            final.rename(before)
        building.rename(final)
        shutil.rmtree(before, ignore_errors=True)
        sync(self.folder)
        for old in self.all()[: -self.keep]:
            shutil.rmtree(old)

    def newest(self) -> Path:
        """Return the newest checkpoint.

        Raises:
            WeightsError: There is none, or it is damaged: on every rank, with the same sentence.
        """
        found = self.all()
        if not found:
            raise WeightsError(expected(str(self.folder), "checkpoints", "none", "Is its parent a run's folder?"))
        older = f"go on from {found[-2].name}" if len(found) > 1 else "begin anew"
        problem = None
        if rank_and_size()[0] == 0:
            problem = damage(found[-1])
        problem = gather_objects(problem)[0]
        if problem:
            raise WeightsError(f"{problem}. Delete {found[-1]} to {older}.")
        return found[-1]


def read_state(checkpoint: Path) -> dict[str, Any]:
    """Return what `Checkpoints.save` was given.

    Raises:
        WeightsError: Another version wrote it.
    """
    state = read_saved(checkpoint / STATE)
    if state.get("version") != VERSION:
        wanted = f"a checkpoint of version {VERSION}"
        raise WeightsError(expected(str(checkpoint), wanted, f"version {state.get('version')}"))
    return state


def read_history(checkpoint: Path) -> dict[str, Any]:
    """Return the same of a run's checkpoint: what every one says is there.

    Raises:
        WeightsError: Another version, or somebody else, wrote it.
    """
    state = {**UNSAID, **read_state(checkpoint)}
    with readable(checkpoint / STATE, WHAT):
        forms = HISTORY | {"step": int} if state["part"] else HISTORY
        if odd := [name for name, form in forms.items() if not isinstance(state[name], form)]:
            raise TypeError(f"its '{odd[0]}' is something else")
        json.loads(state["recipe"])
    return state


def read_saved(file: Path) -> dict[str, Any]:
    """Return what a run has written into a file of its checkpoint, on the CPU; nothing in it is run.

    Raises:
        WeightsError: It is absent, broken, or holds more than tensors and plain data.
    """
    if not file.is_file():
        advice = "Another version of regionloss wrote the checkpoint, or it is not whole."
        raise WeightsError(expected(str(file), "a file of the checkpoint", "none", advice))
    found = read_pickled(file, WHAT, "A run writes no such file: do not trust it.")
    if not isinstance(found, dict):
        raise WeightsError(expected(str(file), "what a run writes", type(found).__name__))
    return found


def write_manifest(folder: Path) -> None:
    """Write size and SHA-256 of every file of a folder, and see that all of it is on disk."""
    files = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        files[path.relative_to(folder).as_posix()] = {"size": path.stat().st_size, "sha256": sha256(path)}
        sync(path)
    manifest = folder / MANIFEST
    manifest.write_text(json.dumps({"version": VERSION, "files": files}, indent=1) + "\n", encoding="utf-8")
    sync(manifest)
    sync(folder)


def damage(folder: Path) -> str | None:
    """Return what is wrong with a checkpoint, with the name of the file, or None."""
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        wanted = {name: (files[name]["size"], files[name]["sha256"]) for name in (STATE, *files)}
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


def remove(folder: Path) -> None:
    """Remove a folder in which another rank may be writing: what it begins meanwhile goes with the next try."""
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.05)


def sync(path: Path) -> None:
    """Have the system write a file, or a folder's list of files, to disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
