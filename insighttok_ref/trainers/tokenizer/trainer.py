"""The trainer `insighttok`: a VQGAN tokenizer with region terms, in phases, from a laptop to a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from insighttok_ref.data.options import DataOptions, check_mix
from insighttok_ref.objective.objective import ObjectiveOptions
from insighttok_ref.tokenizers.build import components
from insighttok_ref.trainers.tokenizer.checks import check_tested
from insighttok_ref.trainers.tokenizer.earlier_options import read_earlier
from insighttok_ref.trainers.tokenizer.options import EngineOptions, EvaluationOptions, ModelOptions, Phase
from insighttok_ref.training.engines import OptimizerOptions
from insighttok_ref.training.loggers import LogOptions
from regionloss.errors import InputError, expected

if TYPE_CHECKING:
    from insighttok_ref.data.build import TrainingData
    from insighttok_ref.trainers.tokenizer.tokenizer_session import TokenizerSession
    from regionloss.judges import Judge
    from regionloss.recipe import Loaded, Recipe, TrainingNeeds, TrainingRun
    from regionloss.runs import Ranks

#: The name that this trainer had as one of two; recipes may say it until 0.3.
EARLIER = "comparison"


@dataclass(frozen=True, kw_only=True)
class InsightTok:
    """Trains a tokenizer in phases, each with its own length, data mix, terms, parts that learn and schedule.

    The last phase may have arms: each starts from the same weights and sees the same images, so that they can be
    compared. Where sources of the data keep images for the test, every tokenizer of the run is judged on them and a
    report is written. Under a launcher (torchrun, deepspeed, srun) all processes train one tokenizer together.

    Args:
        model: Options of `InsightTokenizer`.
        phases: Phases in order; the last may have arms.
        data: Where images and their regions come from, for training and for the test.
        objective: Losses besides region terms.
        optimizer: Adam and clipping, for the tokenizer and the discriminator.
        engine: Where and how to compute.
        log: How often to write, and where to.
        evaluation: Judges and the report, where sources keep images for the test.
        start_from: A tokenizer file (`regionloss checkpoint convert --to ours`) to start from.
        weight_average: Decay of a moving average of the weights, which is exported too; 0 keeps none.

    Raises:
        InputError: Options that do not fit together.

    Source: InsightTok, Section 4 and Appendix E.1.
    """

    model: ModelOptions
    phases: Annotated[tuple[Phase, ...], Field(min_length=1)]
    data: DataOptions
    objective: ObjectiveOptions = ObjectiveOptions()  # noqa: RUF009 (frozen)
    optimizer: OptimizerOptions = OptimizerOptions()  # noqa: RUF009
    engine: EngineOptions = EngineOptions()  # noqa: RUF009
    log: LogOptions = LogOptions()  # noqa: RUF009
    evaluation: EvaluationOptions = EvaluationOptions()  # noqa: RUF009
    start_from: Path | None = None
    weight_average: Annotated[float, Field(ge=0, lt=1)] = 0.0

    read_earlier = staticmethod(read_earlier)

    def __post_init__(self) -> None:
        for number, phase in enumerate(self.phases):
            if phase.data:
                check_mix(phase.data, self.data.sources, f"phases[{number}].data")
            if phase.batch_size % self.data.stripes:
                wanted = f"a multiple of data.stripes, {self.data.stripes}"
                raise InputError(expected(f"phases[{number}].batch_size", wanted, str(phase.batch_size)))
        check_tested(self.data.sources, self.phases, self.evaluation)

    @property
    def image_sizes(self) -> tuple[int, ...]:
        """Sides of the images of each phase, pixels."""
        return tuple(phase.image_size or self.data.image_size for phase in self.phases)

    def components(self) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """Yield kind, name and options of what a run uses beside its terms, for the resolved recipe."""
        yield from components(self.model)
        yield from self.objective.components()
        for judge in self.evaluation.judges.values():
            yield "judge", judge, {}

    def check_fit(self) -> None:
        """See that model, discriminator and phases fit one another; `regionloss check` asks.

        Raises:
            InputError: They do not.
        """
        from insighttok_ref.trainers.tokenizer.checks import check_fit

        check_fit(self)

    def needs(self, loaded: Loaded[Recipe], gpus: int) -> TrainingNeeds:
        """Return what training on so many GPUs needs.

        Args:
            loaded: The recipe that it was built from.
            gpus: Number of processes, a GPU each.

        Raises:
            InputError: What the recipe asks for does not fit together.
        """
        from insighttok_ref.trainers.tokenizer.needs import needs

        self.check_fit()
        return needs(self, loaded, gpus)

    def run(self, run: TrainingRun) -> None:
        """Train into `run.out`, judge and report; go on from `run.resume` where given.

        Raises:
            InputError: What the recipe asks for does not fit together.
            WeightsError: Weights, or a checkpoint, are missing or damaged.
            StoppedError: Ctrl-C or SIGTERM; the state is saved, and the sentence says how to go on.
            TrainingError: A value is not finite.
        """
        from regionloss.evaluation import build_judges

        names = self.evaluation.judges
        judges, notes = build_judges(names, run.loaded.catalogue, run.resolved) if names else ({}, [])
        with self.engine.join() as ranks:
            session = self.session(run, ranks)
            if run.recipe.trainer.name.rpartition("/")[2] == EARLIER:
                notes = [f"The trainer '{EARLIER}' is a part of 'insighttok': say 'name: insighttok'.", *notes]
            for note in (*session.data.notes, *notes):
                session.progress.say(note)
            with session.progress:
                self._train(session, judges, notes)

    def _train(self, session: TokenizerSession, judges: Mapping[str, Judge], notes: list[str]) -> None:
        """Train all parts; the first process then judges them and exports the tokenizer."""
        from insighttok_ref.trainers.tokenizer.report import afterwards, report

        if not session.ranks.is_first:
            session.train()
            return
        tested = session.data.test
        session.progress.left.afterwards = afterwards(tested, judges, len(session.parts))
        session.train()
        if not self.phases[-1].arms:
            whole = session.folder / "tokenizer.safetensors"
            session.export(whole)
            session.progress.say(f"tokenizer: {whole}")
        if tested:
            session.progress.say(f"report: {report(session, judges, [*session.data.notes, *notes])}")

    def session(self, run: TrainingRun, ranks: Ranks) -> TokenizerSession:
        """Return what trains the phases of a run.

        Args:
            run: The recipe and where to write.
            ranks: This process among those of the run.
        """
        from insighttok_ref.trainers.tokenizer.checks import check_alone
        from insighttok_ref.trainers.tokenizer.tokenizer_session import TokenizerSession

        self.check_fit()
        check_alone(self.data.sources, ranks)
        return TokenizerSession(self, run, ranks, lambda: self.open_data(run))

    def open_data(self, run: TrainingRun) -> TrainingData:
        """Return the run's data; to look through millions of images takes hours."""
        from insighttok_ref.data.build import build_training_data
        from insighttok_ref.data.packaged import detectors_of

        looks = any(source.packaged == "face" or source.annotate for source in self.data.sources.values())
        detectors = detectors_of(run.loaded) if looks else {}
        pairs = {kind.name: kind.flip_pairs for kind in run.loaded.catalogue.region_kinds()}
        # Kept in the run's folder: whoever goes on trains on the same regions, and waits for no detector.
        folder = run.resume or run.out
        return build_training_data(
            self.data, detectors=detectors, flip_pairs=pairs, keep=folder, image_sizes=self.image_sizes
        )
