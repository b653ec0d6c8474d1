"""Two processes learn what one learns."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.insighttok_ref.trainers.generator.conftest import TINY, places
from tests.insighttok_ref.trainers.generator.test_run import metrics
from tests.insighttok_ref.trainers.tokenizer.test_distributed import environment
from tests.patience import patience


@pytest.mark.parametrize("engine", ["plain", "deepspeed"])
def test_two_processes_lose_what_one_does(trained: Path, tokens: Path, tmp_path: Path, engine: str) -> None:
    if engine == "deepspeed":
        pytest.importorskip("deepspeed")
    words = (*places(tokens), f"trainer.options.engine.name={engine}", "trainer.options.engine.micro_batch=1")
    launch = (sys.executable, "-m", "regionloss", "launch", str(TINY), "--with", "torchrun")
    command = [*launch, "--processes-per-node", "2", "--out", "run", *words]
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=patience(60), cwd=tmp_path, env=environment(), check=False
    )
    assert result.returncode == 0, result.stderr
    two, one = metrics(tmp_path / "run"), metrics(trained)
    assert len(two) == len(one) == 14
    for mine, other in zip(two, one, strict=True):
        assert mine.keys() == other.keys()
        for key in mine.keys() & {"loss/total", "test/loss", "gradient_norm"}:
            assert mine[key] == pytest.approx(other[key], rel=1e-4)
