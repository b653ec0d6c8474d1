"""What the training of an autoencoder with region terms needs: its own step, taken on the meta device."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from insighttok_ref.objective.adversarial import Adversary
from insighttok_ref.objective.objective import Objective, ObjectiveOptions
from insighttok_ref.objective.perceptual import build_perceptual
from insighttok_ref.tokenizers.base import Trainee
from insighttok_ref.tokenizers.build import build_tokenizer
from insighttok_ref.trainers.tokenizer.loop import PartState, micro_step
from insighttok_ref.trainers.tokenizer.options import EngineOptions
from insighttok_ref.trainers.tokenizer.plan import Part, plan
from insighttok_ref.training.engines import OptimizerOptions, PlainEngine
from insighttok_ref.training.states import Player, Size, engine_needs
from insighttok_ref.training.stop import FiniteWatch
from regionloss.autoencoders import StepLedger, size_of
from regionloss.backbones import FeatureBackbone
from regionloss.data.batches import Batch, Share
from regionloss.errors import RegionLossError
from regionloss.losses import LossTerms, Term
from regionloss.recipe import Loaded, PhaseNeeds, Recipe, TrainingNeeds, build_terms
from regionloss.regions import Regions
from regionloss.weights import shapes_alone

if TYPE_CHECKING:
    from insighttok_ref.trainers.tokenizer.trainer import InsightTok

#: Regions of each kind in an image: the paper counts one face and two texts.
REGIONS = 2
STAGES = (0, 1, 2)


class LedgerEngine(PlainEngine):
    """Takes gradients through a ledger, and steps never.

    Args: `ledger` counts what the backward pass takes; the others as for `PlainEngine`.
    """

    def __init__(self, module: nn.Module, ledger: StepLedger) -> None:
        super().__init__(module, OptimizerOptions())
        self.ledger = ledger

    def backward(self, loss: Tensor) -> None:
        """Count the backward pass of a loss, 0-d."""
        self.ledger.backward(loss)


class GhostState(PartState):
    """A part without values: precisions are the ledger's affair."""

    def autocast(self) -> AbstractContextManager[Any]:
        """Return a context that does nothing."""
        return nullcontext()


@dataclass(frozen=True)
class Ghost:
    """All that takes part in a step, on the meta device.

    Args:
        part: The part whose step it is, in which all that ever counts does.
        model: What is trained, with the parts that learn chosen.
        options: Options of the objective.
        terms: Region terms that could be built.
        side: Side of the images, pixels.
        keypoints: How many a region has, by kind.
    """

    part: Part
    model: Trainee
    options: ObjectiveOptions
    terms: Mapping[str, Term]
    side: int
    keypoints: Mapping[str, int]

    @cached_property
    def objective(self) -> Objective:
        """The objective with all its parts."""
        chosen = {name: replace(term, weight=1.0, start_step=0) for name, term in self.terms.items()}
        used = {name: term for name, term in chosen.items() if name in self.part.terms}
        perceptual, adversarial = self.options.perceptual, self.options.adversarial
        with shapes_alone():
            compared = None if perceptual is None else build_perceptual(perceptual.use, perceptual.options)
        with torch.device("meta"):
            adversary = None if adversarial is None else Adversary(adversarial)
        made = Objective(self.options, LossTerms(used), None, compared, adversary)
        for backbone in backbones_of(made):
            backbone.network_for(torch.empty(0, device="meta"))  # moves it there: it is there before a step begins
        return made

    def batch(self, size: int) -> Batch:
        """Return so many images, with regions of all kinds that terms read."""
        pixels = torch.empty(size, 3, self.side, self.side, dtype=torch.uint8, device="meta")
        kinds = {term.kind for term in self.terms.values()} - {"whole_image"}
        return Batch(pixels, {kind: self.regions(kind, size).to("meta") for kind in kinds})

    def regions(self, kind: str, images: int) -> Regions:
        """Return regions of a kind, each a quarter of the image wide."""
        count, wide = REGIONS * images, self.side / 4
        boxes = torch.tensor([[0.0, 0.0, wide, wide]]).expand(count, 4).clone()
        number = self.keypoints.get(kind, 0)
        places = torch.stack([torch.arange(float(number)), torch.arange(float(number)) % 3], 1)
        points = (places * wide / max(number, 3)).expand(count, number, 2).clone() if number else None
        index = torch.arange(images).repeat_interleave(REGIONS)
        return Regions(kind, boxes, index, (self.side, self.side), images, points)

    @property
    def weights(self) -> list[nn.Parameter]:
        """The weights of both players."""
        adversary = self.objective.adversary
        return [*self.model.parameters(), *(adversary.parameters() if adversary is not None else ())]

    def step(self, size: int, ledger: StepLedger) -> None:
        """Take a step of so many images in a ledger."""
        objective, adversarial = self.objective, self.options.adversarial
        adversary = objective.adversary
        ledger.watch(self.model, "autoencoder")
        if objective.perceptual is not None and self.options.perceptual is not None:
            ledger.watch(objective.perceptual, self.options.perceptual.use)
        for name, term in (objective.terms.terms if objective.terms is not None else {}).items():
            ledger.watch(term.loss.backbone, f"term {name}")
        if adversary is not None:
            ledger.watch(adversary.discriminator, "discriminator")
        state = GhostState(
            self.part,
            Share(size),
            self.model.train(),
            LedgerEngine(self.model, ledger),
            objective,
            FiniteWatch(torch.device("meta"), str),
            None if adversary is None else LedgerEngine(adversary, ledger),
            # When both players learn and listen.
            step=0 if adversarial is None else max(adversarial.learn_from, adversarial.listen_from),
        )
        micro_step(state, self.batch(size), logged=False)

    def step_bytes(self, size: int, bf16: bool) -> dict[str, int]:
        """Return the bytes of a step of so many images at a time, beside the states, by part."""
        with StepLedger(self.weights, bf16) as ledger:
            self.step(size, ledger)
        return ledger.by_part()

    def operations(self) -> int:
        """Return the operations for one image, of both players."""
        with FlopCounterMode(display=False) as counter, StepLedger(self.weights, bf16=False) as ledger:
            self.step(1, ledger)
        return int(counter.get_total_flops())


class BuiltTerms(NamedTuple):
    """Terms that could be built without weights, and why others could not."""

    terms: dict[str, Term]
    notes: list[str]


def terms_of(loaded: Loaded[Recipe]) -> BuiltTerms:
    """Return a recipe's terms, whose networks have weights that mean nothing."""
    found = BuiltTerms({}, [])
    for name, use in loaded.recipe.terms.items():
        alone = replace(loaded, recipe=loaded.recipe.model_copy(update={"terms": {name: use}}))
        try:
            with shapes_alone():
                found.terms.update(build_terms(alone, auto=1.0).terms)
        except RegionLossError as error:
            found.notes.append(f"Not counted is the term '{name}': {error}")
    return found


def ghosts_of(trainer: InsightTok, loaded: Loaded[Recipe], terms: Mapping[str, Term]) -> list[Ghost]:
    """Return the step of each phase, without memory."""
    found: dict[str, Ghost] = {}
    keypoints = keypoints_of(loaded)
    for part in plan(trainer.phases, loaded.recipe.terms, loaded.recipe.seed, trainer.data.image_size):
        with torch.device("meta"):
            model = build_tokenizer(trainer.model)
        model.set_trainable(part.phase.train)
        found[part.name] = Ghost(part, model, trainer.objective, terms, part.image_size, keypoints)
    return list(found.values())


def keypoints_of(loaded: Loaded[Recipe]) -> dict[str, int]:
    """Return how many keypoints a region has, by kind."""
    return {kind.name: len(kind.keypoints) for kind in loaded.catalogue.region_kinds()}


def needs(trainer: InsightTok, loaded: Loaded[Recipe], gpus: int) -> TrainingNeeds:
    """Return what a trainer's phases need on so many GPUs."""
    terms, notes = terms_of(loaded)
    ghosts = ghosts_of(trainer, loaded, terms)
    return autoencoder_needs(ghosts, trainer.engine, trainer.optimizer, gpus, trainer.weight_average > 0, notes)


def autoencoder_needs(
    ghosts: list[Ghost],
    engine: EngineOptions,
    optimizer: OptimizerOptions,
    gpus: int,
    averaged: bool,
    notes: Iterable[str] = (),
) -> TrainingNeeds:
    """Return what training in phases needs.

    Args:
        ghosts: The step of each phase.
        engine: The recipe's engine.
        optimizer: Optimizer of the recipe.
        gpus: Number of processes, a GPU each.
        averaged: Whether a moving average of the weights is kept.
        notes: Sentences on what is left out.
    """
    bf16 = engine.precision == "bf16"
    phases = [
        PhaseNeeds(one.part.name, one.part.phase.steps, one.part.phase.batch_size, one.operations()) for one in ghosts
    ]
    # The most that learns, and the most terms beside it.
    falling = sorted(ghosts, key=lambda one: (Size.of(one.model).learning, len(one.part.terms)), reverse=True)
    largest, by_side = falling[0], {one.side: one for one in reversed(falling)}
    objective = largest.objective
    players = [Player(Size.of(largest.model))]
    if objective.adversary is not None:
        players.append(Player(Size.of(objective.adversary), engine.adversary_zero_stage))
    also = {"average": size_of([*largest.model.parameters(), *largest.model.buffers()]) if averaged else 0}
    also["networks of losses"] = frozen_bytes(objective)
    return TrainingNeeds(
        phases,
        engine_needs(engine, optimizer, players, gpus, STAGES, also),
        lambda size: max(
            (one.step_bytes(size, bf16) for one in by_side.values()), key=lambda found: sum(found.values())
        ),
        engine.micro_batch,
        bf16=bf16,
        notes=[
            f"Assumed: {REGIONS} regions of each kind in an image; all losses count, as late in '{largest.part.name}'.",
            *told_sides(ghosts),
            *notes,
        ],
    )


def told_sides(ghosts: Sequence[Ghost]) -> list[str]:
    """Return a sentence on the sizes of the phases' images, where there is more than one."""
    if len({one.side for one in ghosts}) == 1:
        return []
    sides = ", ".join(f"{one.side} x {one.side} in '{one.part.name}'" for one in ghosts)
    return [f"Images have {sides}; a micro-batch is what fits the phase that takes most."]


def backbones_of(objective: Objective) -> list[FeatureBackbone]:
    """Return the frozen backbones in whose features losses compare."""
    terms = objective.terms.terms.values() if objective.terms is not None else ()
    losses = [term.loss for term in terms] + ([objective.perceptual.loss] if objective.perceptual is not None else [])
    return [loss.backbone for loss in losses]


def frozen_bytes(objective: Objective) -> int:
    """Return the bytes of the frozen networks that losses compare with."""
    networks = [backbone.network for backbone in backbones_of(objective)]
    return sum(size_of([*one.parameters(), *one.buffers()]) for one in networks)
