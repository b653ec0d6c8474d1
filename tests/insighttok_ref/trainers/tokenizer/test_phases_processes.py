"""Three phases in processes of their own: two that are one, killed ones, and signals to all of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

from tests.insighttok_ref.trainers.tokenizer.phases import OPTIONS, TINY, assert_same, metrics, prepare, train
from tests.patience import patience

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def command(out: Path, *more: str, ranks: int = 1) -> list[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"] if ranks > 1 else []
    return [sys.executable, *launcher, "-m", "regionloss", "train", str(TINY), "--out", str(out), *more]


def kill_after(words: list[str], log: Path, lines: int) -> None:
    """Start a command and kill all its processes once a log has so many lines."""
    begun = psutil.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
    until = time.monotonic() + patience(20)
    while time.monotonic() < until and begun.poll() is None:
        if log.exists() and log.read_text().count("\n") >= lines:
            break
        time.sleep(0.002)
    for process in [*begun.children(recursive=True), begun]:
        process.kill()
    assert begun.wait(patience(6)) == -signal.SIGKILL


def run(words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, env=ENVIRONMENT, timeout=patience(30))


#: What sees a rank's own images alone, made to see none: batch statistics, and LeCAM, which is not linear.
JOINT = [
    OPTIONS + "objective.adversarial.norm=group",
    OPTIONS + "objective.adversarial.lecam=0",
]


@pytest.fixture(scope="module", params=["plain", "deepspeed"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Return the folder of a run of two processes, and its overrides."""
    out = tmp_path_factory.mktemp(request.param)
    overrides = [OPTIONS + f"engine.name={request.param}", *JOINT]
    finished = run(command(out, *overrides, ranks=2))
    assert finished.returncode == 0, finished.stderr[-3000:]
    return out, overrides


def test_two_processes_are_one_with_the_joint_batch(pair: tuple[Path, list[str]], tmp_path: Path) -> None:
    """Also where one of them has an image without regions, and through the adversarial game (LeCAM is not linear)."""
    train(prepare(tmp_path, *JOINT))
    for ours, theirs in zip(metrics(pair[0]), metrics(tmp_path), strict=True):
        names = [name for name in theirs if name.startswith("loss/") and name != "loss/lecam"]
        close = 1e-5 if theirs["part"] == "pretrain" else 1e-3
        for name in names:
            assert ours[name] == pytest.approx(theirs[name], rel=close, abs=1e-6), (theirs, name)
    first, second = (load_file(folder / "pretrain" / "tokenizer.safetensors") for folder in (tmp_path, pair[0]))
    for name in first.keys() - {"quantize.codebook_used"}:  # the last ids of a rank
        torch.testing.assert_close(second[name], first[name], rtol=1e-4, atol=1e-5)


def test_two_processes_killed_between_saves_go_on_bit_for_bit(pair: tuple[Path, list[str]], tmp_path: Path) -> None:
    """kill -9 to everybody once step 9 is logged, whose state was not saved; `plain` then shards its optimizer."""
    shard = [OPTIONS + "engine.shard_optimizer=true"] if "plain" in pair[1][0] else []
    kill_after(command(tmp_path, *pair[1], ranks=2), tmp_path / "metrics.jsonl", lines=9)
    assert not (tmp_path / "tokenizer.safetensors").exists()
    resumed = run(command(tmp_path, *pair[1], *shard, "--resume", str(tmp_path), ranks=2))
    assert resumed.returncode == 0, resumed.stderr[-3000:]
    assert_same(pair[0], tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_is_the_trainings_to_answer(tmp_path: Path, number: int) -> None:
    """Ctrl-C and Slurm reach the workers that make batches, too."""
    longer = [OPTIONS + "phases.0.steps=5000", OPTIONS + "data.workers=2"]
    begun = subprocess.Popen(
        command(tmp_path, *longer), env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    until = time.monotonic() + patience(20)
    while not (tmp_path / "metrics.jsonl").exists() and time.monotonic() < until:
        time.sleep(0.02)
    os.killpg(begun.pid, number)
    shown, _ = begun.communicate(timeout=patience(10))
    assert begun.returncode == 1
    assert "Traceback" not in shown
    assert len(list(tmp_path.glob("checkpoints/step-*/state.pt"))) == 1
