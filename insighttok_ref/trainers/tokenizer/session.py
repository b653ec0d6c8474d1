"""One run of a trainer of autoencoders: images in, images out, an objective with region terms."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from insighttok_ref.data.build import TrainingData
from insighttok_ref.data.skipped_images import Told
from insighttok_ref.objective.objective import ObjectiveOptions
from insighttok_ref.objective.perceptual import build_perceptual
from insighttok_ref.tokenizers.base import Trainee
from insighttok_ref.trainers.parts_run import PartsRun
from insighttok_ref.trainers.tokenizer.checks import slowness
from insighttok_ref.trainers.tokenizer.loop import PartState, train_part
from insighttok_ref.trainers.tokenizer.options import EngineOptions, Phase
from insighttok_ref.trainers.tokenizer.part_state import begin, go_on, shards, snapshot
from insighttok_ref.trainers.tokenizer.plan import Part, plan
from insighttok_ref.training.engines import OptimizerOptions
from insighttok_ref.training.loggers import LogOptions
from regionloss.data.batches import BatchSource, Share
from regionloss.errors import all_made
from regionloss.pictures import sample_grid
from regionloss.recipe import TrainingRun
from regionloss.runs import Ranks, barrier


class Images(Protocol):
    """The options of a run's images, as far as they are the same whatever is trained."""

    @property
    def image_size(self) -> int:
        """Side of the images of phases that do not say theirs, pixels."""


class Trainer(Protocol):
    """The options of a run, as far as they are the same whatever is trained."""

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Phases in order."""

    @property
    def data(self) -> Images:
        """Images to train on."""

    @property
    def objective(self) -> ObjectiveOptions:
        """Losses besides region terms."""

    @property
    def optimizer(self) -> OptimizerOptions:
        """Adam and clipping."""

    @property
    def engine(self) -> EngineOptions:
        """Where and how to compute."""

    @property
    def log(self) -> LogOptions:
        """How often to write, and where to."""

    @property
    def weight_average(self) -> float:
        """Decay of a moving average of the weights; 0 keeps none."""


class Session(PartsRun[PartState, Phase]):
    """Trains the parts of a run that are not finished; what is trained, and what is kept of it, subclasses say.

    Args:
        trainer: The options of the run.
        run: The recipe and where to write.
        ranks: This process among those of the run.
        open_data: Called when all else is known to fit: it may take hours.

    Raises:
        InputError: A batch does not divide; the folder holds another run; the run to go on from had another recipe.
        WeightsError: The newest checkpoint is damaged, or there is none.
    """

    #: Whether terms of weight `auto` get one when training begins.
    finds_weights = False

    def __init__(self, trainer: Trainer, run: TrainingRun, ranks: Ranks, open_data: Callable[[], TrainingData]) -> None:
        self.trainer = trainer
        parts = plan(trainer.phases, run.recipe.terms, run.recipe.seed, trainer.data.image_size)
        super().__init__(trainer, run, ranks, parts)
        # 1 stands for a weight that is found when training begins, where the trainer does so.
        terms = partial(run.build_terms, auto=1.0 if self.finds_weights else None)
        use = trainer.objective.perceptual
        perceptual = partial(build_perceptual, use.use, use.options) if use is not None else lambda: None
        self.terms, self.perceptual = all_made([terms, perceptual])
        self.check_start()
        barrier()  # whoever begins to write now would make others think that a run is here
        self.data = open_data()

    def batches(self, part: Part, share: Share) -> BatchSource:
        """Return a part's batches, for this rank."""
        seed, side = self.run.recipe.seed, part.image_size
        return Told(self.data.batches(part.phase.data or None, seed=seed, image_size=side, **asdict(share)))

    @abstractmethod
    def check_start(self) -> None:
        """See that what is trained can be built, before data are looked through."""

    @abstractmethod
    def build(self, part: Part, going_on: bool) -> Trainee:
        """Return the model of a part, on its device, with the weights to begin with and the parts that learn.

        Args:
            part: The part that begins.
            going_on: Whether its weights are then replaced by those of a checkpoint.
        """

    def begin(self, part: Part, going_on: bool) -> PartState:
        """Return the state at which a part begins; says so where it will be slow."""
        state = begin(self, part, going_on)
        if part is self.todo[0] and (slow := slowness(state.model, self.ranks.device)):
            self.progress.say(f"{part.name}: {slow}")
        return state

    def go_on(self, state: PartState, saved: Mapping[str, Any], folder: Path) -> None:
        """Bring a part to where a checkpoint left it."""
        go_on(state, saved, folder)

    def train_part(self, state: PartState) -> None:
        """Do the steps of a part that are left."""
        train_part(state, self.batches(state.part, state.share), self.trainer.log.every, self._after_step)

    def snapshot(self, state: PartState) -> dict[str, Any]:
        """Return what an exact continuation needs besides the ranks' own files."""
        return snapshot(state)

    def shards(self, state: PartState) -> dict[str, Any]:
        """Return this rank's own files of a checkpoint, by name."""
        return shards(state)

    def _log(self, state: PartState, record: dict[str, Tensor | float]) -> float:
        """Write a step's numbers, and now and then a picture; return its loss."""
        loss = super()._log(state, record)
        log = self.trainer.log
        if state.shown is not None and (state.step - 1) // log.images_every != state.pictured:
            state.pictured = (state.step - 1) // log.images_every
            self.loggers.image(state.run_step - 1, state.part.name, partial(sample_grid, *state.shown, most=log.images))
        return loss
