"""`annotate` as it is typed, where things go wrong: sentences, nothing half written, no process left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from shards import PLUGIN, random_shard
from typer.testing import CliRunner

from regionloss.cli.main import app
from tests.patience import patience


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    for number in range(4):
        (tmp_path / "in" / f"{number}.tar").write_bytes(random_shard(number)[0])
    return tmp_path


def annotate(*words: str) -> str:
    """Return what a command that fails prints."""
    result = CliRunner().invoke(app, ["annotate", *words])
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 2
    return " ".join(result.output.split())


def test_a_name_with_a_typo_gets_a_guess_among_detectors_and_terms(folder: Path) -> None:
    assert "named 'fase'. Did you mean 'face'?" in annotate("in", "--detectors", "fase")
    assert "named 'mtcn'. Did you mean 'mtcnn'?" in annotate("in", "--detectors", "text,mtcn")


def test_a_place_that_cannot_be_written_to_is_said_before_anything_is_looked_at(folder: Path) -> None:
    (folder / "file").write_bytes(b"")
    said = annotate("in", "--detectors", "red", "--plugin", PLUGIN, "--out", "file")
    assert said == f"--out: expected a folder that can be written to, got '{folder}/file', which is no folder. " + (
        "Say another --out."
    )


def test_a_wildcard_without_shards_is_a_sentence(folder: Path) -> None:
    assert "'none/*.tar': expected files, got none." in annotate("none/*.tar", "--detectors", "red", "--plugin", PLUGIN)


@pytest.mark.parametrize("stop", [os.killpg, os.kill], ids=["ctrl-c", "sigterm"])
def test_a_stop_ends_two_workers_with_a_sentence_and_leaves_nothing(folder: Path, stop: Callable[..., None]) -> None:
    words = ["in", "--detectors", "red", "--plugin", PLUGIN, "--out", "out", "--option", "pause=0.4", "--workers", "2"]
    run = subprocess.Popen(
        [sys.executable, "-m", "regionloss", "annotate", *words, "--decoders", "1", "--device", "cpu"],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not list(folder.glob("out/*.parquet")):
        assert run.poll() is None, run.communicate()[1]
        time.sleep(0.02)
    stop(run.pid, signal.SIGINT if stop is os.killpg else signal.SIGTERM)
    said = run.communicate(timeout=patience(6))[1]
    assert run.returncode == 130
    assert said.splitlines()[-1].endswith("of 4 shards done. The same command goes on from there.")
    assert "leaked" not in said
    assert not list(folder.glob("out/.*"))
    deadline = time.monotonic() + patience(1)
    while is_there(run.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not is_there(run.pid)


def is_there(group: int) -> bool:
    """Whether a group has a process that runs; the dead that nobody has taken from the list yet do not count."""
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                return True
    return False
