"""What optimizers read back is their own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from insighttok_ref.training.checkpoint import read_saved, write_files
from insighttok_ref.training.engines import OptimizerOptions, PlainEngine


def anonymous() -> int:
    """Return the bytes of this process that no file backs."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("RssAnon:")))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no Linux")
def test_a_file_is_mapped_and_let_go(tmp_path: Path) -> None:
    """Tensors stay on the disk until they are used; the optimizer keeps none of them, so that a file may be deleted."""
    module = nn.Linear(2048, 2048)
    engine = PlainEngine(module, OptimizerOptions())
    module(torch.ones(1, 2048)).sum().backward()
    engine.step(1e-3)
    write_files(tmp_path, engine.shards())
    wanted = engine.optimizer.state[module.weight]["exp_avg_sq"]
    before = anonymous()
    saved = read_saved(tmp_path / "module.pt")
    assert anonymous() - before < 4e6  # of 33
    assert torch.equal(saved["state"][0]["exp_avg_sq"], wanted)
    assert str(tmp_path) in Path("/proc/self/maps").read_text()
    del saved
    resumed = PlainEngine(module, OptimizerOptions())
    resumed.load(tmp_path)
    assert str(tmp_path) not in Path("/proc/self/maps").read_text()
    assert torch.equal(resumed.optimizer.state[module.weight]["exp_avg_sq"], wanted)
