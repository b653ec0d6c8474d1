"""Two processes hold the codebook that one process with the joint batch would hold, bit for bit."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from tests.patience import patience

SCRIPT = Path(__file__).with_name("two_ranks.py")


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("two_ranks", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


script = load_script()


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("ranks")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    commands = [[sys.executable, str(SCRIPT), str(rank), str(folder)] for rank in (0, 1)]
    processes = [subprocess.Popen(command, env=environment) for command in commands]
    try:
        assert [process.wait(patience(30)) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    return [torch.load(folder / f"rank{rank}.pt") for rank in (0, 1)]


@pytest.mark.filterwarnings("ignore:quantizer. .* tokens per code and update")
@pytest.mark.parametrize("name", script.SCENARIOS)
def test_two_ranks_equal_the_joint_batch(two_ranks: list[dict[str, Any]], name: str) -> None:
    joint = script.run(name, None)
    start = script.build(name).embedding.weight
    assert not torch.equal(joint["embedding.weight"], start)
    for rank in two_ranks:
        for key, value in joint.items():
            assert torch.equal(rank[name][key], value), key


def test_an_update_without_tokens_fails_on_both_ranks(two_ranks: list[dict[str, Any]]) -> None:
    assert all("expected a training forward" in rank["empty"] for rank in two_ranks)
