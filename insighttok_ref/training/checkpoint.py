"""Checkpoints of a run: folders that are complete or not there, written while training goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch

from insighttok_ref.training.host_copies import on_host
from insighttok_ref.training.manifest import VERSION, damage, listed, sync, write_manifest
from regionloss.disk import to_disk
from regionloss.errors import WeightsError, expected
from regionloss.runs import over_ranks, rank_and_size
from regionloss.weights import read_pickled, readable

T = TypeVar("T")

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
    "decayed": str,
}
#: What earlier versions did not say.
UNSAID = {"threads": 0, "sharded": False, "decayed": "all"}


@runtime_checkable
class Content(Protocol):
    """What a file is to hold, where it is more than plain data and tensors that torch saves."""

    def write(self, file: Path) -> None:
        """Write the file."""


class Checkpoints:
    """The checkpoints of a run, newest last: `step-00001000/` holds `state.pt`, what engines need, and hashes.

    Every rank calls every method but `failed` and `close`, and writes and hashes its own files; the first one writes
    what all ranks share, and, when all files are there, their list.

    Args:
        folder: Folder that holds checkpoints and nothing else.
        keep: Number of checkpoints that are kept, at least one.
        background: Whether `save` returns as soon as the state is copied, and a thread writes the copy.
    """

    def __init__(self, folder: Path, keep: int = 2, *, background: bool = False) -> None:
        self.folder, self.keep, self.background = folder, keep, background
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._writing: Future[None] | None = None

    def all(self) -> list[Path]:
        """Return the complete ones, oldest first."""
        return sorted(path for path in self.folder.glob("step-*") if path.is_dir() and path.suffix != ".tmp")

    def save(self, step: int, state: Mapping[str, Any], shards: Mapping[str, Any] | None = None) -> Path:
        """Write a checkpoint; a crash leaves it whole or not at all, and the one before it untouched.

        Args:
            step: Step of the run; names the checkpoint's folder.
            state: Plain data and tensors that all ranks share.
            shards: Contents of this rank's own files by name: plain data and tensors, or `Content`.

        Returns:
            The folder; in the background it is there once `finish` has returned.

        Raises:
            DiskError: The disk of any rank is full, or takes nothing: this time, or that of the last in the background.
        """
        self.finish()
        final, contents = self.folder / f"step-{step:08d}", dict(shards or {})
        if rank_and_size()[0] == 0:
            contents[STATE] = {"version": VERSION, **state}
        if not self.background:
            self._write(final, contents)
            return final
        self._writing = self._thread.submit(self._write, final, on_host(contents))
        return final

    @property
    def failed(self) -> bool:
        """Whether what was written in the background has met an error, which `finish` raises."""
        return self._writing is not None and self._writing.done() and self._writing.exception() is not None

    def finish(self) -> None:
        """Wait until what is written in the background is whole.

        Raises:
            DiskError: The disk of any rank is full, or takes nothing; on all ranks.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def close(self) -> None:
        """Wait for what is written in the background, whatever comes of it; nothing is saved any more."""
        self._thread.shutdown()

    def _write(self, final: Path, contents: Mapping[str, Any]) -> None:
        """Write a checkpoint together with the other ranks; what one of them raises, all do."""
        rank, ranks = rank_and_size()
        building, before = final.with_suffix(".tmp"), final.with_suffix(".old.tmp")
        older = f"; {found[-1].name} is whole" if (found := self.all()) else ""
        advice = f"Make room there, and go on with --resume {self.folder.parent}{older}."

        def by_all(work: Callable[[], T]) -> list[T]:
            def told(_: Sequence[int]) -> list[T]:
                with to_disk(building, advice):
                    return [work()]

            return over_ranks(told, range(ranks), beside=True)

        def by_first(work: Callable[[], object]) -> None:
            by_all(lambda: None if rank else work())

        try:
            by_first(lambda: self._begin(building))
            files = by_all(lambda: write_files(building, contents))
            by_first(lambda: self._put(building, final, before, files))
        except BaseException:
            if rank == 0:
                shutil.rmtree(building, ignore_errors=True)  # it may be what fills the disk
                if before.exists() and not final.exists():
                    before.rename(final)
            raise

    def _begin(self, building: Path) -> None:
        for left in self.folder.glob("*.tmp"):  # of a run that was killed
            shutil.rmtree(left, ignore_errors=True)
        building.mkdir(parents=True)

    def _put(self, building: Path, final: Path, before: Path, files: Sequence[Mapping[str, Any]]) -> None:
        write_manifest(building, {name: told for of_rank in files for name, told in of_rank.items()})
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
        if problem := damage(found[-1], STATE):
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

    Tensors stay in the file until they are used, so that ranks of one machine share them, and read what they need.

    Raises:
        WeightsError: It is absent, broken, or holds more than tensors and plain data.
    """
    if not file.is_file():
        advice = "Another version of regionloss wrote the checkpoint, or it is not whole."
        raise WeightsError(expected(str(file), "a file of the checkpoint", "none", advice))
    found = read_pickled(file, WHAT, "A run writes no such file: do not trust it.", mapped=True)
    if not isinstance(found, dict):
        raise WeightsError(expected(str(file), "what a run writes", type(found).__name__))
    return found


def write_files(folder: Path, contents: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Write files into a folder, by name; return their sizes and hashes."""
    for name, content in contents.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        content.write(file) if isinstance(content, Content) else torch.save(content, file)
    return listed(folder, contents)
