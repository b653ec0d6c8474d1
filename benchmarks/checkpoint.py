"""What a checkpoint costs a run: seconds for which the step waits, and until all of it is on disk.

    python -m benchmarks.checkpoint [--preset insighttok-72m] [--rounds 3] [--device cuda] [--folder runs]

A tokenizer, its moving average and AdamW's moments, as `insighttok` saves them, written in the step and in the
background by turns. The disk is that of the folder: the pace of a hash and of the disk is what the step is spared.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from insighttok_ref.tokenizers.insighttok.model import InsightTokenizer
from insighttok_ref.training.checkpoint import Checkpoints
from insighttok_ref.training.engines import OptimizerOptions, PlainEngine
from insighttok_ref.training.weight_average import WeightAverage


class Saved(NamedTuple):
    """Seconds of one save."""

    waits: float
    whole: float


def state_of(preset: str, device: str) -> tuple[dict[str, Any], PlainEngine]:
    """Return what a run of a tokenizer saves, after a step."""
    with torch.device(device):
        model = InsightTokenizer.from_preset(preset)
    average = WeightAverage(model, 0.999)
    engine = PlainEngine(model, OptimizerOptions())
    for one in model.parameters():
        one.grad = torch.full_like(one, 1e-3)
    engine.step(1e-4)
    return {"model": model.state_dict(), "average": average.model.state_dict()}, engine


def save(checkpoints: Checkpoints, step: int, state: dict[str, Any], engine: PlainEngine) -> Saved:
    """Save once, and wait for the end."""
    began = time.perf_counter()
    checkpoints.save(step, state, engine.shards())
    waits = time.perf_counter() - began
    checkpoints.finish()
    return Saved(waits, time.perf_counter() - began)


def size_of(module: nn.Module) -> int:
    """Return the number of a module's weights."""
    return sum(one.numel() for one in module.parameters())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.checkpoint", description=__doc__)
    parser.add_argument("--preset", default="insighttok-72m")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    state, engine = state_of(given.preset, given.device)
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        kinds = {
            "in the step": Checkpoints(Path(folder) / "step", 1),
            "in the background": Checkpoints(Path(folder) / "background", 1, background=True),
        }
        found: dict[str, list[Saved]] = {name: [] for name in kinds}
        for number in range(given.rounds + 1):  # the first one is not counted
            for name, checkpoints in kinds.items():
                found[name].append(save(checkpoints, number, state, engine))
        size = sum(path.stat().st_size for path in kinds["in the step"].newest().iterdir())
        for checkpoints in kinds.values():
            checkpoints.close()
    print(f"{given.preset}, {given.device}, {torch.get_num_threads()} threads: {size / 1e9:.2f} GB a checkpoint")
    for name, rounds in found.items():
        waits, whole = (statistics.median(times) for times in zip(*rounds[1:], strict=True))
        print(f"  {name:18} the step waits {waits:6.2f} s, all is on disk after {whole:6.2f} s")


if __name__ == "__main__":
    main()
