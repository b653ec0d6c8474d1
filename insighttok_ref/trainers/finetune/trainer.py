"""The trainer `finetune`: the decoder of an autoencoder that is already there, its latents kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field, PositiveFloat, PositiveInt

from insighttok_ref.objective.objective import ObjectiveOptions
from insighttok_ref.objective.perceptual import PerceptualOptions
from insighttok_ref.trainers.finetune.options import ELSEWHERE, FolderOptions, ModelOptions
from insighttok_ref.trainers.tokenizer.options import EngineOptions, EvaluationOptions, Phase
from insighttok_ref.training.engines import OptimizerOptions
from insighttok_ref.training.loggers import LogOptions
from regionloss.errors import InputError, expected

if TYPE_CHECKING:
    from insighttok_ref.trainers.finetune.pictures import Looked
    from insighttok_ref.trainers.finetune.session import FinetuneSession
    from regionloss.recipe import Loaded, Recipe, TrainingNeeds, TrainingRun
    from regionloss.runs import Ranks

#: Share of the gradient that a term has where nothing is said.
SHARE = 0.25
Share = Annotated[float, Field(gt=0, lt=1)]


@dataclass(frozen=True, kw_only=True)
class Finetune:
    """Tunes the decoder of an autoencoder on the user's own images, with region terms; its latents stay what they are.

    Regions are found once by the detectors of the terms. A term of weight `auto` gets the weight at which it has its
    share of the gradient. At the end the latents before and after are compared bit for bit, and a report shows regions
    of images that were kept from training before and after.

    Args:
        model: The autoencoder, and which of its parts learn.
        data: The folder of images, and how they are cut.
        steps: Number of optimizer steps.
        batch_size: Images a step, over all processes.
        lr: Largest learning rate, the peak of the cosine.
        warmup: Share of the steps over which the learning rate rises.
        share: Share of the gradient that each term of weight `auto` has, or by term; the losses of whole images have
            the rest.
        objective: Losses besides region terms.
        optimizer: Adam and clipping.
        engine: Where and how to compute; `micro_batch` images at a time, accumulated to a batch.
        log: How often to write, and where to.
        evaluation: Judges by region kind, and the report.
        weight_average: Decay of a moving average of the weights, which is what is saved; 0 keeps none.

    Raises:
        InputError: Options that do not fit together.
    """

    ELSEWHERE: ClassVar[Mapping[str, str]] = ELSEWHERE

    model: ModelOptions = ModelOptions()  # noqa: RUF009 (frozen)
    data: FolderOptions = FolderOptions()  # noqa: RUF009
    steps: PositiveInt = 2000
    batch_size: PositiveInt = 4
    lr: PositiveFloat = 5e-5
    warmup: Annotated[float, Field(ge=0, le=1)] = 0.05
    share: Share | Mapping[str, Share] = SHARE
    objective: ObjectiveOptions = ObjectiveOptions(  # noqa: RUF009
        perceptual=PerceptualOptions(use="st-lpips-alex", weight=0.5)
    )
    optimizer: OptimizerOptions = OptimizerOptions(betas=(0.9, 0.999))  # noqa: RUF009
    engine: EngineOptions = EngineOptions()  # noqa: RUF009
    log: LogOptions = LogOptions()  # noqa: RUF009
    evaluation: EvaluationOptions = EvaluationOptions()  # noqa: RUF009
    weight_average: Annotated[float, Field(ge=0, lt=1)] = 0.999

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The one phase, as the runtime of all trainers takes it."""
        return (Phase(name="finetune", steps=self.steps, batch_size=self.batch_size, lr=self.lr, warmup=self.warmup),)

    @property
    def source(self) -> Path:
        """Where the autoencoder is read from.

        Raises:
            InputError: Nobody has said it.
        """
        if self.model.from_ is None:
            advice = "Say model.from=./sdxl-vae, for example."
            raise InputError(expected("model.from", "the autoencoder to tune", "nothing", advice))
        return self.model.from_.expanduser()

    def components(self) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """Yield kind, name and options of what a run uses beside its terms, for the resolved recipe."""
        yield from self.objective.components()
        for judge in self.evaluation.judges.values():
            yield "judge", judge, {}

    def needs(self, loaded: Loaded[Recipe], gpus: int) -> TrainingNeeds:
        """Return what tuning on so many GPUs needs; the autoencoder is read.

        Args:
            loaded: The recipe that it was built from.
            gpus: Number of processes, a GPU each.

        Raises:
            InputError: An autoencoder whose layers have no shape without values; what is asked for does not fit it.
            WeightsError: It is missing or damaged.
        """
        from insighttok_ref.trainers.finetune.needs import needs

        return needs(self, loaded, gpus)

    def run(self, run: TrainingRun) -> None:
        """Tune into `run.out`, and report; go on from `run.resume` where given.

        Raises:
            InputError: What is asked for does not fit together, or the images do not serve.
            WeightsError: Weights, or a checkpoint, are missing or damaged.
            StoppedError: Ctrl-C or SIGTERM; the state is saved, and the sentence says how to go on.
            TrainingError: A value is not finite.
        """
        from insighttok_ref.trainers.finetune.report import finish
        from regionloss.evaluation import build_judges

        names = self.evaluation.judges
        judges, notes = build_judges(names, run.loaded.catalogue, run.resolved) if names else ({}, [])
        with self.engine.join() as ranks:
            session = self.session(run, ranks)
            for note in (*session.data.notes, *notes):
                session.progress.say(note)
            with session.progress:
                session.train()
                if ranks.is_first:
                    finish(session, judges, notes)

    def session(self, run: TrainingRun, ranks: Ranks) -> FinetuneSession:
        """Return what tunes the autoencoder of a run; terms of weight 0 are not built.

        Their regions are looked for where a judge looks at them: a run without the terms has the same pictures and the
        same report.

        Args:
            run: The recipe and where to write.
            ranks: This process among those of the run.
        """
        from insighttok_ref.trainers.finetune.session import FinetuneSession

        if self.data.images is None:
            advice = "Say data.images=./photos, for example."
            raise InputError(expected("data.images", "a folder of images", "nothing", advice))
        seen = weighed(run, self.evaluation.judges)
        return FinetuneSession(self, weighed(run), ranks, lambda say: self.look(seen, ranks, say))

    def look(self, run: TrainingRun, ranks: Ranks, say: Callable[[str], None]) -> Looked:
        """Return what was found in the images: by the first process, whose side-car the others read."""
        from insighttok_ref.data.packaged import detectors_of
        from insighttok_ref.trainers.finetune.pictures import look
        from regionloss.runs import barrier

        if not ranks.is_first:
            barrier()
        folder = run.resume or run.out
        pairs = {kind.name: kind.flip_pairs for kind in run.loaded.catalogue.region_kinds()}
        needed = any(use.weight != 0 for use in run.recipe.terms.values())
        found = look(self.data, detectors_of(run.loaded), pairs, folder, say, draw=ranks.is_first, needed=needed)
        if ranks.is_first:
            barrier()
        return found


def weighed(run: TrainingRun, kinds: Collection[str] = ()) -> TrainingRun:
    """Return a run without the terms of weight 0, but those of some kinds."""
    from regionloss.recipe import kind_of

    find = run.loaded.catalogue.term
    terms = {n: use for n, use in run.recipe.terms.items() if use.weight != 0 or kind_of(use, find(use.use)) in kinds}
    return replace(run, loaded=replace(run.loaded, recipe=run.recipe.model_copy(update={"terms": terms})))
