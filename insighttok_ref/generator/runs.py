"""What a run of the trainer has saved while it trains, as a generator: also where no process had all of its weights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from insighttok_ref.generator.checkpoints import MODEL, LoadedGenerator, read_company
from insighttok_ref.generator.model import InsightAR
from insighttok_ref.training.checkpoint import STATE, WHAT, Checkpoints, read_state
from insighttok_ref.training.weight_files import SharedWeights
from regionloss.errors import WeightsError, expected
from regionloss.weights import readable

#: What the engine of a run is called in its checkpoints.
ENGINE = "generator-engine"


def read_run(path: Path) -> tuple[LoadedGenerator, Iterator[tuple[str, Tensor]]]:
    """Read what a run has saved last.

    Args:
        path: Folder of the run, or of one of its checkpoints.

    Returns:
        The generator, whose model has no weights of its own, and those weights, float32, one after another.

    Raises:
        WeightsError: There is no checkpoint, it is damaged, or it holds no weights.
    """
    if (path / STATE).is_file():
        checkpoint, run = path, path.parent.parent
    else:
        checkpoint, run = Checkpoints(path / "checkpoints").newest(), path
    state = read_state(checkpoint)
    if not state.get("generator"):
        raise WeightsError(expected(str(checkpoint), "weights of a generator", *_instead(state, run)))
    with readable(checkpoint / STATE, WHAT):
        told = json.loads(state["generator"])
        with torch.device("meta"):
            model = InsightAR(**told["model"])
        form, tokenizer = read_company(run, told)
        rows, columns = told["grid"]
    untrained = tuple(told.get("untrained", ()))
    generator = LoadedGenerator(model, form, tokenizer, (rows, columns), untrained)
    return generator, _weights(model, state, checkpoint)


def _weights(model: InsightAR, state: dict[str, Any], checkpoint: Path) -> Iterator[tuple[str, Tensor]]:
    shared = None if "model" in state else SharedWeights(checkpoint, ENGINE)
    for name, _ in model.named_parameters():
        with readable(checkpoint, WHAT):
            yield name, state["model"][name].float() if shared is None else shared.whole(name)


def _instead(state: dict[str, Any], run: Path) -> tuple[str, str]:
    """Return what a checkpoint without weights is, and what to do."""
    if state.get("part"):
        return "the state of another trainer, or of an earlier version", ""
    if (run / MODEL).is_file():
        return "the end of a run", f"{run} is a generator already."
    return "a state between two phases", "Go on with the run until it saves again."
