"""Killed with -9: rerun, the result is that of an unbroken run, and nothing that was finished is done twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from shards import PLUGIN, random_shard

from tests.patience import patience

SHARDS = 50


def command(folder: Path, out: Path, *more: str) -> list[str]:
    pattern = f"{folder}/{{000..{SHARDS - 1:03d}}}.tar"
    options = ["--detectors", "red,blue", "--plugin", PLUGIN, "--out", str(out), "--decoders", "1", "--device", "cpu"]
    return [sys.executable, "-m", "regionloss", "annotate", pattern, *options, *more]


def finished(out: Path) -> dict[str, tuple[int, int]]:
    """Return inode and time of each side-car that is there."""
    return {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in out.glob("*.regions.parquet")}


def contents(out: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(out.iterdir())}


def left_behind(mark: str) -> list[str]:
    """Return the processes that have a word on their command line or in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes():
                found.append(process.name)
        except OSError:
            continue
    return [pid for pid in found if pid != str(os.getpid())]


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    folder, broken, whole = tmp_path / "shards", tmp_path / "broken", tmp_path / "whole"
    folder.mkdir()
    for number in range(SHARDS):
        (folder / f"{number:03d}.tar").write_bytes(random_shard(number)[0])
    mark, rng = f"KILL_TEST={tmp_path}", random.Random()
    environment = os.environ | {"OMP_NUM_THREADS": "1", "KILL_TEST": str(tmp_path)}
    slow = ["--option", "red.pause=0.01"]
    unbroken = subprocess.run(command(folder, whole, *slow), env=environment, capture_output=True, text=True)
    assert unbroken.returncode == 0, unbroken.stderr
    before: dict[str, tuple[int, int]] = {}
    for _ in range(2):
        enough = rng.randrange(len(before) + 1, len(before) + 15)
        run = subprocess.Popen(command(folder, broken, *slow), env=environment, stderr=subprocess.PIPE)
        while len(finished(broken)) < enough:
            assert run.poll() is None, run.communicate()[1]
            time.sleep(0.005)
        time.sleep(rng.random() * 0.1)
        os.kill(run.pid, signal.SIGKILL)
        run.communicate()
        after = finished(broken)
        assert after.items() >= before.items()
        before = after
    assert 0 < len(before) < SHARDS
    rerun = subprocess.run(command(folder, broken, *slow), env=environment, capture_output=True, text=True)
    assert rerun.returncode == 0, rerun.stderr
    assert f"{SHARDS - len(before)} annotated, {len(before)} done already, 0 failed" in rerun.stdout
    assert finished(broken).items() >= before.items()
    assert contents(broken) == contents(whole)
    deadline = time.monotonic() + patience(1)
    while left_behind(mark) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left_behind(mark)
