"""A run's folder: real locks of real processes, and a disk that is really full."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from regionloss.data.shards.atomic import write_whole
from regionloss.disk import guarded, to_disk, whole
from regionloss.errors import DiskError, InputError
from tests.full_disk import FULL, full_disk

HOLDER = """
import sys, time
from pathlib import Path
from regionloss.disk import guarded
with guarded(Path(sys.argv[1]), "training"):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_folder_in_use_is_refused_and_its_holder_named(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    wanted = rf"run: another training is at work in this folder \(process {holder.pid}, host {os.uname().nodename}\)\."
    with pytest.raises(InputError, match=wanted), guarded(tmp_path / "run", "training"):
        pass
    with guarded(tmp_path / "other", "training"):
        pass


def test_a_folder_is_free_as_soon_as_its_holder_is_dead(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    holder.kill()
    holder.wait()
    with guarded(tmp_path / "run", "training"):
        assert (tmp_path / "run" / ".lock").read_text().startswith(f"process {os.getpid()}, ")
    assert list((tmp_path / "run").iterdir()) == []


def test_a_folder_is_free_again_and_as_it_was(tmp_path: Path) -> None:
    for _ in range(2):
        with guarded(tmp_path / "a" / "run", "training"):
            pass
        assert not (tmp_path / "a" / "run").exists()
    with guarded(tmp_path / "a" / "run", "training"):
        (tmp_path / "a" / "run" / "kept").touch()
    assert [path.name for path in (tmp_path / "a" / "run").iterdir()] == ["kept"]


def test_a_worker_that_outlives_its_run_does_not_hold_the_folder(tmp_path: Path) -> None:
    """A forked one has all that the run had open."""
    reading, writing = os.pipe()
    holder = os.fork()
    if not holder:
        with guarded(tmp_path, "training"):
            if not os.fork():
                os.close(writing)
                os.read(reading, 1)
                os._exit(0)
            os._exit(0)  # as by kill -9: nothing is tidied up
    os.waitpid(holder, 0)
    with guarded(tmp_path, "training"):
        pass
    os.close(writing)
    os.close(reading)


def test_another_error_than_the_disk_s_stays_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="gloo"), to_disk(tmp_path / "x"):
        raise RuntimeError("gloo: connection closed")


def test_a_folder_that_is_gone_is_a_sentence(tmp_path: Path) -> None:
    """torch says that a parent directory does not exist, and raises no OSError."""
    path = tmp_path / "gone" / "state.pt"
    wanted = r"gone/state\.pt: expected a disk that takes it, got No such file or"
    with pytest.raises(DiskError, match=wanted), to_disk(path):
        torch.save({}, path)


WRITERS: dict[str, Callable[[Path], object]] = {
    "text": lambda path: path.write_text("x" * 900_000),
    "torch": lambda path: torch.save({"a": torch.zeros(200_000)}, path),
    "safetensors": lambda path: save_file({"a": torch.zeros(200_000)}, path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_whoever_writes_a_full_disk_is_named(name: str, tmp_path: Path) -> None:
    wanted = rf"a\.bin: expected a disk that takes it, got {FULL}\. Make room there"
    with full_disk(), pytest.raises(DiskError, match=wanted), to_disk(tmp_path / "a.bin"):
        WRITERS[name](tmp_path / "a.bin")


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_killed_process_left_is_removed_by_the_next_writer(kind: str, tmp_path: Path) -> None:
    """Whoever writes whole files, under any name of theirs; the files of processes that live are theirs."""
    program = "import os, sys; from pathlib import Path; from regionloss.disk import whole\n"
    program += "with whole(Path(sys.argv[1])) as part:\n"
    program += "    part.mkdir() if sys.argv[2] == 'folder' else part.write_text('half')\n"
    program += "    os.kill(os.getpid(), 9)"
    path = tmp_path / "a[1].bin"
    assert subprocess.run([sys.executable, "-c", program, str(path), kind]).returncode == -9
    assert [left.name.startswith(".a[1].bin.") for left in tmp_path.iterdir()] == [True]
    with whole(path) as part:
        part.write_text("whole")
    assert [(found.name, found.read_text()) for found in tmp_path.iterdir()] == [("a[1].bin", "whole")]


def test_what_raises_leaves_what_was_there(tmp_path: Path) -> None:
    for path, write in ((tmp_path / "file", Path.write_text), (tmp_path / "folder", lambda p, _: p.mkdir())):
        with whole(path) as part:
            write(part, "before")
        before = path.stat().st_mtime_ns
        with suppress(KeyboardInterrupt), whole(path) as part:
            write(part, "after")
            raise KeyboardInterrupt
        assert path.stat().st_mtime_ns == before
    assert {found.name for found in tmp_path.iterdir()} == {"file", "folder"}


def test_a_whole_file_stays_whole_on_a_full_disk(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_whole(str(path), b"{}")
    with full_disk(), pytest.raises(DiskError, match=rf"a\.json: expected a disk that takes it, got {FULL}"):
        write_whole(str(path), bytes(900_000))
    assert [(found.name, found.read_bytes()) for found in tmp_path.iterdir()] == [("a.json", b"{}")]
