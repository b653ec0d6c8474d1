"""The trainer `insightar`: a language model that reads captions and writes the tokens of images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from insighttok_ref.trainers.generator.options import (
    GeneratorEngineOptions,
    GeneratorOptions,
    GeneratorPhase,
    TokenDataOptions,
    WrittenOptions,
)
from insighttok_ref.training.engines import OptimizerOptions
from insighttok_ref.training.loggers import LogOptions
from regionloss.errors import InputError, expected

if TYPE_CHECKING:
    from insighttok_ref.trainers.generator.session import GeneratorSession
    from regionloss.recipe import Loaded, Recipe, TrainingNeeds, TrainingRun
    from regionloss.runs import Ranks


@dataclass(frozen=True, kw_only=True)
class GeneratorTrainer:
    """Trains a generator on the tokens of a tokenizer, in phases: first what is new in it, then all of it.

    The loss is that of image tokens alone. After each phase it is measured on the images that sources keep for the
    test. The folder of the run is then what `regionloss generate --checkpoint` takes. Where a judge reads, words that
    captions ask for are drawn at the end, and `report.html` says how many of them can be read.

    Args:
        data: The tokenizer, and tokens with captions.
        model: The model that learns.
        phases: Phases in order, as in the paper if unsaid: of 20,000 steps, in which adapter and head learn, and of
            292,969 steps, in which all does.
        optimizer: AdamW and clipping.
        engine: Where and how to compute.
        log: How often to write, and where to.
        evaluation: What is drawn and read at the end.

    Raises:
        InputError: Options that do not fit together.

    Source: InsightTok, sections 3.3 and 4.
    """

    data: TokenDataOptions
    model: GeneratorOptions = GeneratorOptions()  # noqa: RUF009 (frozen)
    phases: Annotated[tuple[GeneratorPhase, ...], Field(min_length=1)] = (
        GeneratorPhase(name="adapt", steps=20_000, batch_size=512, lr=1e-3, train=("adapter", "head")),
        GeneratorPhase(name="train", steps=292_969, batch_size=512, lr=1e-4),
    )
    optimizer: OptimizerOptions = OptimizerOptions(betas=(0.9, 0.95))  # noqa: RUF009
    engine: GeneratorEngineOptions = GeneratorEngineOptions()  # noqa: RUF009
    log: LogOptions = LogOptions()  # noqa: RUF009
    evaluation: WrittenOptions = WrittenOptions()  # noqa: RUF009

    def components(self) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """Yield kind, name and options of what a run uses beside its terms: its judges."""
        for judge in self.evaluation.judges.values():
            yield "judge", judge, {}

    def needs(self, loaded: Loaded[Recipe], gpus: int) -> TrainingNeeds:
        """Return what training on so many GPUs needs.

        Args:
            loaded: The recipe that it was built from.
            gpus: Number of processes, a GPU each.
        """
        check_transformers()
        from insighttok_ref.trainers.generator.needs import needs

        return needs(self, gpus)

    def run(self, run: TrainingRun) -> None:
        """Train into `run.out`, and report; go on from `run.resume` where given.

        Raises:
            InputError: What the recipe asks for does not fit together, tokens of another tokenizer, or a judge that
                this one was trained against.
            WeightsError: The tokenizer, or a checkpoint, is missing or damaged.
            StoppedError: Ctrl-C or SIGTERM; the state is saved, and the sentence says how to go on.
            TrainingError: A value is not finite.
        """
        from regionloss.evaluation import judges_of, trained_against

        check_transformers()
        from insighttok_ref.trainers.generator.report import Asked, report

        names, catalogue = list(self.evaluation.judges.values()), run.loaded.catalogue
        judges = judges_of(names, catalogue, trained_against(self.data.tokenizer)) if names else {}
        with self.engine.join() as ranks:
            session = self.session(run, ranks)
            asked = Asked(session.data.held_out(), self.evaluation) if judges else None
            with session.progress:
                session.train()
                if asked and ranks.is_first:
                    session.progress.say(f"report: {report(session, asked, judges)}")

    def session(self, run: TrainingRun, ranks: Ranks) -> GeneratorSession:
        """Return what trains the phases of a run.

        Args:
            run: The recipe and where to write.
            ranks: This process among those of the run.
        """
        if run.recipe.terms:
            got = ", ".join(f"'{name}'" for name in run.recipe.terms)
            advice = "Terms compare images: the tokenizer is trained with them."
            raise InputError(expected("terms", "none, since a generator writes tokens", got, advice))
        check_transformers()
        from insighttok_ref.trainers.generator.session import GeneratorSession

        return GeneratorSession(self, run, ranks)


def check_transformers() -> None:
    """Raise InputError where the package of the language model is absent."""
    from importlib.util import find_spec

    if find_spec("transformers") is None:
        advice = "Install it: pip install 'regionloss[generator]'."
        raise InputError(expected("trainer 'insightar'", "the package transformers", "none", advice))
