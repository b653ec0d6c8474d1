"""The trainer `insighttok`: a VQGAN tokenizer with region terms, in phases, from a laptop to a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from insighttok_ref.data.options import DataOptions
from insighttok_ref.objective.objective import ObjectiveOptions
from insighttok_ref.trainers.tokenizer.checks import check_mix
from insighttok_ref.trainers.tokenizer.options import EngineOptions, LogOptions, MixedPhase, ModelOptions
from insighttok_ref.training.engines import OptimizerOptions

if TYPE_CHECKING:
    from insighttok_ref.trainers.tokenizer.plan import Part
    from insighttok_ref.trainers.tokenizer.session import Session
    from regionloss.data.batches.batch import BatchSource
    from regionloss.data.batches.loader import Share
    from regionloss.recipe import TrainingRun
    from regionloss.runs.process_group import Ranks


class InsightTok:
    """Trains a tokenizer in phases, each with its own length, data mix, terms, parts that learn and schedule.

    Under a launcher (torchrun, deepspeed, srun) all processes train one tokenizer together.

    Args:
        model: Options of `InsightTokenizer`.
        phases: Phases in order.
        data: Where images and their regions come from.
        objective: Losses besides region terms.
        optimizer: Constants of Adam, and the largest norm of gradients, for the tokenizer and the discriminator.
        engine: Device, precision and library that the run computes with.
        log: How often records and checkpoints are written, and to which loggers.
        start_from: A tokenizer file (`regionloss checkpoint convert --to ours`) to start from.
        weight_average: Decay of a moving average of the weights, which is exported too; 0 keeps none.

    Source: InsightTok, Section 4 and Appendix E.1.
    """

    def __init__(
        self,
        *,
        model: ModelOptions,
        phases: Annotated[tuple[MixedPhase, ...], Field(min_length=1)],
        data: DataOptions,
        objective: ObjectiveOptions = ObjectiveOptions(),  # noqa: B008 (frozen)
        optimizer: OptimizerOptions = OptimizerOptions(),  # noqa: B008
        engine: EngineOptions = EngineOptions(),  # noqa: B008
        log: LogOptions = LogOptions(),  # noqa: B008
        start_from: Path | None = None,
        weight_average: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    ) -> None:
        for number, phase in enumerate(phases):
            check_mix(phase.data, data.sources, f"phases[{number}].data")
        self.model, self.data, self.phases = model, data, phases
        self.objective, self.optimizer, self.engine, self.log = objective, optimizer, engine, log
        self.start_from, self.weight_average = start_from, weight_average

    def run(self, run: TrainingRun) -> None:
        """Train into `run.out`; go on from `run.resume` where given.

        Raises:
            InputError: What the recipe asks for does not fit together.
            WeightsError: Weights, or a checkpoint, are missing or damaged.
            StoppedError: Ctrl-C or SIGTERM; the state is saved, and the sentence says how to go on.
            TrainingError: A value is not finite.
        """
        from regionloss.runs.process_group import join

        with join(self.engine.device, group_of_one=self.engine.name == "deepspeed") as ranks:
            session = self.session(run, ranks)
            with session.progress:
                session.train()
            if ranks.is_first:
                whole = session.folder / "tokenizer.safetensors"
                session.export(whole)
                session.progress.say(f"tokenizer: {whole}")

    def session(self, run: TrainingRun, ranks: Ranks) -> Session:
        """Return what trains the phases of a run.

        Args:
            run: The recipe and where to write.
            ranks: This process among those of the run.
        """
        from insighttok_ref.data.build import build_training_data
        from insighttok_ref.data.progress import Told
        from insighttok_ref.trainers.tokenizer.checks import check_fit
        from insighttok_ref.trainers.tokenizer.session import Session
        from insighttok_ref.trainers.tokenizer.settings import Settings
        from regionloss.recipe import build_detector

        mixes = {phase.name: phase.data for phase in self.phases}

        def batches(part: Part, share: Share) -> BatchSource:
            loader = data.batches(
                mixes[part.phase.name] or None,
                seed=run.recipe.seed,
                batch_size=share.batch_size,
                micro_batch=share.micro_batch,
                rank=share.rank,
                size=share.size,
            )
            return Told(loader)

        settings = Settings(
            self.model,
            self.phases,
            self.objective,
            self.optimizer,
            self.engine,
            self.log,
            self.start_from,
            self.weight_average,
        )
        check_fit(settings, self.data.image_size)
        session = Session(settings, run, ranks, batches)
        # Last: to look through millions of images takes hours.
        built = {name: build_detector(run.loaded, name) for name in run.recipe.terms} if self._looks() else {}
        detectors = {name: detector for name, detector in built.items() if detector is not None}
        pairs = {kind.name: kind.flip_pairs for kind in run.loaded.catalogue.region_kinds()}
        data = build_training_data(self.data, detectors=detectors, flip_pairs=pairs)
        for note in data.notes:
            session.progress.say(note)
        return session

    def _looks(self) -> bool:
        """Whether a source needs detectors: those with side-cars were looked at before."""
        return any(source.packaged == "face" for source in self.data.sources.values())
