"""The loop over the steps of one part: the loss of image tokens, one optimizer."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor

from insighttok_ref.generator.model import InsightAR
from insighttok_ref.trainers.generator.options import GeneratorPhase
from insighttok_ref.trainers.generator.token_batches import TokenBatch
from insighttok_ref.trainers.tokenizer.plan import Part
from insighttok_ref.training.engines import Engine
from insighttok_ref.training.learning_rate import constant
from insighttok_ref.training.stop import FiniteWatch
from insighttok_ref.training.zero.shards import ShardedEngine
from regionloss.data.batches import Share
from regionloss.errors import InputError, expected
from regionloss.runs import mean_over_ranks, rank_and_size


@dataclass
class GeneratorState:
    """All that changes while a part trains.

    Args:
        part: The part that is trained.
        share: How a step's batch is cut.
        model: The generator that learns.
        engine: Engine with its optimizer.
        watch: Stops at a value that is not finite.
        bf16: Whether to compute under autocast, in bfloat16.
        step: Number of steps that are done.
        seconds: Time spent in them, earlier sittings included.
    """

    part: Part[GeneratorPhase]
    share: Share
    model: InsightAR
    engine: Engine
    watch: FiniteWatch
    bf16: bool = False
    step: int = 0
    seconds: float = 0.0

    @property
    def run_step(self) -> int:
        """Steps of the run before the next one: phases do not begin the count anew."""
        return self.part.first_step + self.step

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.codebook.weight.device

    @property
    def shards(self) -> ShardedEngine | None:
        """The engine, where no rank holds all weights."""
        return self.engine if isinstance(self.engine, ShardedEngine) else None

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context of every forward."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)


#: Called after each step with its record where it is logged.
OnStep = Callable[[GeneratorState, dict[str, Tensor | float] | None], None]


def train_part(state: GeneratorState, batches: Iterator[TokenBatch], log_every: int, on_step: OnStep) -> None:
    """Train until the part ends, or `on_step` raises.

    Args:
        state: State to begin from.
        batches: Micro-batches from the one that comes next.
        log_every: Steps between records.
        on_step: Told of each step; gets a record every `log_every` steps and at the last.

    Raises:
        TrainingError: A loss or the gradient's norm is not finite.
    """
    phase = state.part.phase
    state.model.train()
    while state.step < phase.steps:
        began = time.monotonic()
        logged = state.step % log_every == 0 or state.step == phase.steps - 1
        losses = torch.stack([micro_step(state, next(batches)) for _ in range(state.share.accumulation)])
        lr = phase.lr * constant(state.step, phase.steps, phase.warmup)
        numbers = {"loss/total": losses.mean(), "gradient_norm": state.engine.step(lr)}
        state.watch.note(numbers, state.run_step)
        record: dict[str, Tensor | float] | None = {**mean_over_ranks(numbers), "lr": lr} if logged else None
        state.seconds += time.monotonic() - began
        state.step += 1
        on_step(state, record)


def micro_step(state: GeneratorState, batch: TokenBatch) -> Tensor:
    """Add the gradients of one micro-batch; return its loss, nats a token."""
    check_room(state.model, batch)
    prompts, ids = batch.to(state.device)
    with state.autocast():
        loss = state.model.loss(prompts, ids)
    state.engine.backward(loss)
    return loss.detach()


def check_room(model: InsightAR, batch: TokenBatch) -> None:
    """Raise InputError for captions that leave no room for their images."""
    longest, count = batch.prompts.ids.shape[1], batch.ids.shape[1]
    if longest + count - 1 > model.context:
        room = max(model.context - count + 1, 0)
        got = f"one of {longest} before the {count} of an image"
        advice = f"The model's context is {model.context} tokens: shorten it, or say a larger max_position_embeddings."
        raise InputError(expected("caption", f"prompts of at most {room} tokens", got, advice))


class TokenLoss(NamedTuple):
    """Mean cross-entropy of held-out images, nats a token."""

    loss: float

    @property
    def perplexity(self) -> float:
        """Of how many codes, all alike, a choice would be as uncertain."""
        return math.exp(min(self.loss, 700.0))


@torch.no_grad()
def held_out_loss(state: GeneratorState, batches: Iterable[TokenBatch]) -> TokenLoss | None:
    """Return the loss of images that were kept from training; None where there are none.

    The ranks share the images; every one does as many forwards, which sharded weights need.
    """
    rank, ranks = rank_and_size()
    state.model.eval()
    total = torch.zeros(2, dtype=torch.float64, device=state.device)
    waiting = iter(batches)
    while turn := list(islice(waiting, ranks)):
        batch = turn[min(rank, len(turn) - 1)]
        check_room(state.model, batch)
        prompts, ids = batch.to(state.device)
        with state.autocast():
            loss = state.model.loss(prompts, ids)
        if rank < len(turn):
            total += torch.stack([loss.double() * ids.numel(), torch.tensor(ids.numel()).to(loss.device)])
    loss_sum, count = mean_over_ranks({"total": total})["total"].tolist()
    return TokenLoss(loss_sum / count) if count else None
