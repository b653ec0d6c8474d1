"""The loop over the steps of one part."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from insighttok_ref.objective.objective import Losses, Objective
from insighttok_ref.tokenizer.model import InsightTokenizer
from insighttok_ref.training.engines import Engine
from insighttok_ref.training.plan import Part
from insighttok_ref.training.schedule import cosine
from insighttok_ref.training.stopping import check_finite
from regionloss.regions import Regions


class Batch(Protocol):
    """Images (B, 3, H, W) in [-1, 1] and their regions by kind."""

    @property
    def images(self) -> Tensor:
        """The images."""

    @property
    def regions(self) -> Mapping[str, Regions]:
        """Their regions by kind."""


class Source(Protocol):
    """Training data: `batch(step)` is a pure function, so a resumed run sees what an unbroken one sees."""

    def batch(self, step: int) -> Batch:
        """Return the batch of a step."""


@dataclass
class PartState:
    """All that changes while a part trains.

    Args:
        part: What is trained.
        model: The tokenizer.
        engine: Its optimizer.
        objective: What it is trained on.
        step: Steps done.
        seconds: Time spent in them, earlier sittings included.
    """

    part: Part
    model: InsightTokenizer
    engine: Engine
    objective: Objective
    step: int = 0
    seconds: float = 0.0

    def state_dict(self) -> dict[str, Any]:
        """Return what an exact continuation needs."""
        return {
            "part": self.part.name,
            "step": self.step,
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "engine": self.engine.state_dict(),
            "random": random_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict()`."""
        self.step, self.seconds = state["step"], state["seconds"]
        self.model.load_state_dict(state["model"])
        self.engine.load_state_dict(state["engine"])
        set_random_state(state["random"])


#: Called after each step with its record, whose values are read from the device only where it is logged.
OnStep = Callable[[PartState, dict[str, Tensor | float] | None], bool]


def train_part(state: PartState, source: Source, log_every: int, on_step: OnStep, advice: str = "") -> bool:
    """Train until the part ends or `on_step` returns False; return whether it ended.

    Args:
        state: Where to begin.
        source: Of batches.
        log_every: Steps between records.
        on_step: Told of each step; gets a record every `log_every` steps and at the last.
        advice: Ends the sentence that reports a loss that is not finite.

    Raises:
        TrainingError: A loss or the gradient's norm is not finite.
    """
    part, steps = state.part, state.part.phase.steps
    state.model.train()
    while state.step < steps:
        began = time.monotonic()
        logged = state.step % log_every == 0 or state.step == steps - 1
        record = train_step(state, source, logged, f"{part.name}, step {state.step}", advice)
        state.seconds += time.monotonic() - began
        state.step += 1
        if not on_step(state, record if logged else None):
            return state.step == steps
    return True


def train_step(state: PartState, source: Source, logged: bool, where: str, advice: str) -> dict[str, Tensor | float]:
    """Do one step and return its numbers."""
    phase, model = state.part.phase, state.model
    device = model.last_layer.device
    batch = source.batch(state.part.first_batch + state.step)
    images = batch.images.to(device)
    regions = {kind: found.to(device) for kind, found in batch.regions.items()}
    output = model(images)
    losses = state.objective(output, images, regions, state.step)
    # On an accelerator reading every step would make the host wait for the device.
    checked = logged or device.type == "cpu"
    if checked:
        check_finite({**losses.parts, "total": losses.total}, where, advice)
    state.engine.backward(losses.total)
    lr = phase.lr * cosine(state.step, phase.steps, phase.warmup)
    norm = state.engine.step(lr)
    if checked:
        check_finite({"norm of the gradient": norm}, where, advice)
    model.quantize.update()
    watched = state.objective.watch(output, images, regions) if logged else {}
    return record_of(losses, watched, model, {"lr": lr, "gradient_norm": norm})


def record_of(
    losses: Losses, watched: Mapping[str, Tensor], model: InsightTokenizer, more: Mapping[str, Tensor | float]
) -> dict[str, Tensor | float]:
    """Return a step's numbers by the names that they have in metrics.jsonl."""
    named = {f"loss/{name}": value.detach() for name, value in {**watched, **losses.parts}.items()}
    codes = {f"codebook/{name}": value for name, value in model.quantize.stats().items()}
    return {"loss/total": losses.total.detach(), **named, **codes, **more}


def random_state() -> dict[str, Tensor]:
    """Return the states of torch's generators."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: Mapping[str, Tensor]) -> None:
    """Set torch's generators to `random_state()`."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
