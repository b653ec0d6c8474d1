"""The trainer `comparison`: what do region terms change? One phase without them, then arms from the same weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from insighttok_ref.data.packaged import DataOptions
from insighttok_ref.objective.objective import ObjectiveOptions
from insighttok_ref.trainers.tokenizer.options import (
    ComparedPhase,
    EngineOptions,
    EvaluationOptions,
    LogOptions,
    ModelOptions,
)
from insighttok_ref.training.engines import OptimizerOptions

if TYPE_CHECKING:
    from insighttok_ref.data.packaged import QuickstartData
    from insighttok_ref.trainers.tokenizer.session import Session
    from regionloss.recipe import TrainingRun
    from regionloss.runs.process_group import Ranks


class Comparison:
    """Trains a tokenizer, then each arm from its weights on the same data for as many steps, and compares them.

    Args:
        model: Options of `InsightTokenizer`.
        phases: Phases in order; the last has the arms.
        data: Images to train and test on.
        objective: Weights of the losses besides region terms.
        optimizer: Constants of Adam, and the largest norm of gradients.
        engine: Device and threads that the run computes with.
        log: How often records and checkpoints are written.
        evaluation: Judges, and what the report shows.
    """

    def __init__(
        self,
        *,
        model: ModelOptions,
        phases: Annotated[tuple[ComparedPhase, ...], Field(min_length=1)],
        data: DataOptions = DataOptions(),  # noqa: B008 (frozen)
        objective: ObjectiveOptions = ObjectiveOptions(),  # noqa: B008
        optimizer: OptimizerOptions = OptimizerOptions(),  # noqa: B008
        engine: EngineOptions = EngineOptions(),  # noqa: B008
        log: LogOptions = LogOptions(),  # noqa: B008
        evaluation: EvaluationOptions = EvaluationOptions(),  # noqa: B008
    ) -> None:
        self.model, self.data, self.phases = model, data, phases
        self.objective, self.optimizer, self.engine = objective, optimizer, engine
        self.log, self.evaluation = log, evaluation

    def run(self, run: TrainingRun) -> None:
        """Train, judge and report into `run.out`; go on from `run.resume` where given.

        Raises:
            InputError: What the recipe asks for does not fit together.
            StoppedError: Ctrl-C or SIGTERM; the state is saved, and the sentence says how to go on.
            TrainingError: A loss is not finite.
        """
        from insighttok_ref.trainers.tokenizer.report import afterwards, report
        from regionloss.errors import InputError, expected
        from regionloss.evaluation.judges import build_judges
        from regionloss.runs.process_group import join

        judges, notes = build_judges(self.evaluation.judges, run.loaded.catalogue, run.resolved)
        with join(self.engine.device, group_of_one=self.engine.name == "deepspeed") as ranks:
            if ranks.size > 1:
                advice = "Several train together with the trainer 'insighttok'."
                raise InputError(expected("trainer 'comparison'", "one process", f"{ranks.size}", advice))
            data = self.prepare(run)
            session = self.session(run, data, ranks, afterwards(data, judges, rows=4))
            notes = [*data.notes, *notes]
            for note in notes:
                session.progress.say(note)
            with session.progress:
                session.train()
                page = report(session, self.evaluation, data, judges, notes)
            session.progress.say(f"report: {page}")

    def session(self, run: TrainingRun, data: QuickstartData, ranks: Ranks, afterwards: float = 0.0) -> Session:
        """Return what trains the parts of a run.

        Args:
            run: The recipe and where to write.
            data: Images that `prepare` returned.
            ranks: This process among those of the run.
            afterwards: Seconds that what follows training is thought to take.
        """
        from insighttok_ref.trainers.tokenizer.checks import check_fit
        from insighttok_ref.trainers.tokenizer.session import Session
        from insighttok_ref.trainers.tokenizer.settings import Settings
        from regionloss.data.batches.loader import BatchLoader

        settings = Settings(self.model, self.phases, self.objective, self.optimizer, self.engine, self.log)
        check_fit(settings, self.data.image_size)
        return Session(settings, run, ranks, lambda part, share: BatchLoader(data.train, share), afterwards)

    def prepare(self, run: TrainingRun) -> QuickstartData:
        """Return the run's images, those of the user annotated by the detectors of the recipe's terms."""
        from insighttok_ref.data.packaged import build_data
        from regionloss.recipe import build_detector

        built = {name: build_detector(run.loaded, name) for name in run.recipe.terms}
        detectors = {name: detector for name, detector in built.items() if detector is not None}
        kinds = {detector.kind for detector in detectors.values()}
        pairs = {kind: run.loaded.catalogue.region_kind(kind).flip_pairs for kind in kinds}
        # Kept in the run's folder: whoever goes on trains on the same regions, and waits for no detector.
        sidecar = (run.resume or run.out) / "images.regions.parquet"
        return build_data(self.data, run.recipe.seed, detectors, pairs, sidecar, tell_annotated)


def tell_annotated(done: int, of: int) -> None:
    """Print how many of the user's images have been looked at, ten times in all."""
    if done % max(1, of // 10) == 0 or done == of:
        print(f"looked for regions in {done} of {of} images")
