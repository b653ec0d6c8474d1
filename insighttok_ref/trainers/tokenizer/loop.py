"""The loop over the steps of one part: two players, many micro-batches, one step each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from insighttok_ref.objective.adversarial import Adversary
from insighttok_ref.objective.objective import Objective
from insighttok_ref.tokenizers.base import TokenizerOutput, Trainee
from insighttok_ref.trainers.tokenizer.plan import Part
from insighttok_ref.training.device_batches import on_device
from insighttok_ref.training.engines import Engine
from insighttok_ref.training.stop import FiniteWatch, TrainingError
from insighttok_ref.training.weight_average import WeightAverage
from regionloss import watch_gradients
from regionloss.data.batches import Batch, BatchSource, Share
from regionloss.errors import NotFiniteError
from regionloss.regions import Regions
from regionloss.runs import mean_over_ranks


class Shown(NamedTuple):
    """What a picture of a step is drawn from."""

    target: Tensor
    reconstruction: Tensor
    regions: Mapping[str, Regions]


@dataclass
class PartState:
    """All that changes while a part trains.

    Args:
        part: The part that is trained.
        share: How a step's batch is cut.
        model: The tokenizer, or another autoencoder, that learns.
        engine: Engine with the tokenizer's optimizer.
        objective: Losses that the tokenizer is trained on.
        watch: Stops at a value that is not finite.
        adversary_engine: The optimizer of the objective's adversary, where it has one.
        average: Moving average of the tokenizer's weights.
        bf16: Whether to compute under autocast, in bfloat16.
        compiled: Whether `torch.compile` has taken its networks.
        step: Number of steps that are done.
        seconds: Time spent in them, earlier sittings included.
        shown: The last micro-batch of a logged step.
        pictured: Number of the picture that was drawn last.
    """

    part: Part
    share: Share
    model: Trainee
    engine: Engine
    objective: Objective
    watch: FiniteWatch
    adversary_engine: Engine | None = None
    average: WeightAverage | None = None
    bf16: bool = False
    compiled: bool = False
    step: int = 0
    seconds: float = 0.0
    shown: Shown | None = field(default=None, repr=False)
    pictured: int = -1

    @property
    def adversary(self) -> Adversary | None:
        """The discriminator, where there is one."""
        return self.objective.adversary

    @property
    def run_step(self) -> int:
        """Steps of the run before the next one: phases do not begin the count anew."""
        return self.part.first_step + self.step

    @property
    def first_micro_batch(self) -> int:
        """Number of the micro-batch that comes next."""
        return (self.part.first_batch + self.step) * self.share.accumulation

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context of every forward."""
        return torch.autocast(self.model.last_layer.device.type, torch.bfloat16, enabled=self.bf16)

    def eager(self) -> AbstractContextManager[Any]:
        """Return the context of a few forwards in which nothing is compiled anew."""
        return torch.compiler.set_stance("force_eager") if self.compiled else nullcontext()

    def turn(self, option: str) -> bool:
        """Whether the step is past `learn_from` or `listen_from` of the adversarial options."""
        adversarial = self.objective.options.adversarial
        # By the number of the batch: arms of a phase, one after another, begin at the same one.
        return adversarial is not None and self.part.first_batch + self.step >= getattr(adversarial, option)


#: Called after each step with its record, whose values are read from the device only where it is logged.
OnStep = Callable[[PartState, dict[str, Tensor | float] | None], None]


def train_part(state: PartState, source: BatchSource, log_every: int, on_step: OnStep) -> None:
    """Train until the part ends, or `on_step` raises.

    Args:
        state: State to begin from.
        source: Source of the batches.
        log_every: Steps between records.
        on_step: Told of each step; gets a record every `log_every` steps and at the last.

    Raises:
        TrainingError: A loss or the gradient's norm is not finite.
    """
    steps = state.part.phase.steps
    state.model.train()
    batches = on_device(source.starting_at(state.first_micro_batch), state.model.last_layer.device)
    with watch_gradients(error=False):
        while state.step < steps:
            began = time.monotonic()
            logged = state.step % log_every == 0 or state.step == steps - 1
            record = train_step(state, batches, logged)
            state.seconds += time.monotonic() - began
            state.step += 1
            on_step(state, record if logged else None)


def train_step(state: PartState, batches: Iterator[Batch], logged: bool) -> dict[str, Tensor | float]:
    """Do one step of the tokenizer, and one of the discriminator once it learns; return the step's numbers.

    The record is a mean over micro-batches and, where it is logged, over ranks.
    """
    phase, count = state.part.phase, state.share.accumulation
    found: dict[str, list[Tensor]] = {}
    for number in range(count):
        last = logged and number == count - 1
        for name, value in micro_step(state, next(batches), last).items():
            found.setdefault(name, []).append(value)
    # What is watched is looked at in the last micro-batch alone.
    record = {name: torch.stack(values).mean() for name, values in found.items()}
    rates = {"lr": phase.lr_at(state.step, phase.steps)}
    record["gradient_norm"] = state.engine.step(rates["lr"])
    if state.adversary is not None and state.adversary_engine is not None and state.turn("learn_from"):
        if phase.adversary is not None:
            rates["discriminator_lr"] = phase.adversary.lr_at(state.step, phase.steps)
        record["discriminator_gradient_norm"] = state.adversary_engine.step(rates.get("discriminator_lr", rates["lr"]))
        state.adversary.lecam.update()
    state.watch.note({name: record[name] for name in record if name.endswith("gradient_norm")}, state.run_step)
    state.model.after_step()
    if state.average is not None:
        state.average.update(state.model)
    if not logged:
        return {**record, **rates}
    return {**mean_over_ranks(record), **state.model.step_statistics(), **state.objective.costs(), **rates}


def micro_step(state: PartState, batch: Batch, logged: bool) -> dict[str, Tensor]:
    """Add the gradients of one micro-batch for both players; return its losses by the names they have in the log.

    Raises:
        TrainingError: A value is not finite.
    """
    device = state.model.last_layer.device
    batch = batch.to(device, non_blocking=True)
    images, regions = batch.images, batch.regions
    with state.autocast():
        output = state.model(images)
        output = output._replace(reconstruction=output.reconstruction.float())
        try:
            losses = state.objective(
                output,
                images,
                regions,
                step=state.step,
                listening=state.turn("listen_from"),
                last_layer=state.model.last_layer,
            )
        except NotFiniteError as error:  # a region term has met it before the watch could
            raise TrainingError(f"step {state.run_step}: {error} {state.watch.advice()}") from error
    found = {**losses.parts, "total": losses.total}
    state.watch.note(found, state.run_step)
    state.engine.backward(losses.total)
    if logged:
        state.shown = Shown(images, output.reconstruction.detach(), regions)
        found |= state.objective.watch(output, images, regions)
    found |= discriminator_step(state, output, images)
    return {f"loss/{name}": value.detach() for name, value in found.items()}


def discriminator_step(state: PartState, output: TokenizerOutput, images: Tensor) -> dict[str, Tensor]:
    """Add the discriminator's gradients for one micro-batch, once it learns; return its losses by name."""
    if state.adversary is None or state.adversary_engine is None or not state.turn("learn_from"):
        return {}
    with state.autocast():
        losses = state.adversary.discriminator_loss(output.reconstruction, images)
    state.watch.note(losses.parts, state.run_step)
    state.adversary_engine.backward(losses.total)
    return losses.parts
