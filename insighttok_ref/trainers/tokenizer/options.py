"""The schema of `trainer.options`: what a recipe may say about a training run."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, Literal, NotRequired, Self

from pydantic import (
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)
from typing_extensions import TypedDict

from insighttok_ref.quantizers.build import GIVEN, QUANTIZER, check_quantizer
from insighttok_ref.quantizers.ema import EMAQuantizer
from insighttok_ref.schema import Strict
from insighttok_ref.tokenizers.build import TOKENIZER, check_tokenizer
from insighttok_ref.tokenizers.insighttok.model import PRESETS, InsightTokenizer
from insighttok_ref.training.engines import ComputeOptions
from insighttok_ref.training.learning_rate import constant, cosine
from regionloss.recipe import TermWeight


def options_of(target: Callable[..., Any], *without: str, **instead: Any) -> Any:
    """Return the keyword options of a constructor as a typed mapping: nothing about them is written twice.

    Args:
        target: The class, or a function that makes the object.
        without: Parameters that are not options.
        instead: Annotations that say more than the constructor's own, and options besides its own.
    """
    annotations = typing.get_type_hints(target.__init__ if inspect.isclass(target) else target) | instead
    names = dict.fromkeys(name for name in [*inspect.signature(target).parameters, *instead] if name not in without)
    make: Any = TypedDict
    made = make(f"{target.__name__}Options", {name: NotRequired[annotations[name]] for name in names})
    made.__pydantic_config__ = ConfigDict(extra="forbid")
    made.__constructor__ = target  # what the reference of recipes reads
    return made


Use: Any = Annotated[str, Field(description="A registered quantizer by name; the other keys are its options.")]
QuantizerOptions: Any = Annotated[options_of(EMAQuantizer, *GIVEN, use=Use), QUANTIZER.checked(check_quantizer)]
Preset: Any = Annotated[
    Literal[tuple(PRESETS)], Field(description="A model by name; the other options go over its own.")
]


Other: Any = Annotated[str, Field(description="A registered tokenizer by name; the other keys are its options.")]
InsightOptions = options_of(InsightTokenizer, quantizer=QuantizerOptions, preset=Preset, use=Other)
ModelOptions: Any = Annotated[InsightOptions, TOKENIZER.checked(check_tokenizer)]

#: Folders of a run that are not a phase's.
TAKEN = ("checkpoints", "tensorboard", "wandb")

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]


class RateOptions(Strict):
    """A learning rate over the steps of a phase.

    Args:
        lr: Largest learning rate.
        min_lr: The one that it rises from, and that a cosine falls to.
        warmup: Share of the steps over which it rises.
        schedule: What follows: half a `cosine`, or the largest rate to the end, `constant`.
    """

    lr: PositiveFloat
    min_lr: NonNegativeFloat = 0.0
    warmup: Annotated[float, Field(ge=0, le=1)] = 0.05
    schedule: Literal["cosine", "constant"] = "cosine"

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.min_lr > self.lr:
            raise ValueError(f"expected min_lr at most lr ({self.lr:g}), got {self.min_lr:g}.")
        return self

    def lr_at(self, step: int, steps: int) -> float:
        """Return the learning rate at a step (from 0) of a phase of `steps`."""
        factor = {"cosine": cosine, "constant": constant}[self.schedule](step, steps, self.warmup)
        return self.min_lr + (self.lr - self.min_lr) * factor


class Phase(RateOptions):
    """One phase: its length, schedule, region terms and the parts that learn.

    Args:
        name: Name in logs and folders.
        steps: Number of optimizer steps.
        batch_size: Images a step, over all ranks.
        image_size: Side of its square images, pixels; None for that of `data`.
        adversary: The discriminator's learning rate; None for the tokenizer's.
        data: Share of each of the recipe's sources, any scale; empty for the sources' own.
        terms: Names of the recipe's region terms that count; None for all.
        arms: Terms of each arm by its name, instead of `terms`: the phase is run once per arm, from the same weights.
        term_weights: Weights of terms in this phase, instead of the recipe's; a schedule counts its steps.
        train: Parts of the tokenizer that learn.
    """

    name: Name
    steps: PositiveInt
    batch_size: PositiveInt
    image_size: PositiveInt | None = None
    adversary: RateOptions | None = None
    data: Mapping[str, NonNegativeFloat] = {}
    terms: tuple[str, ...] | None = None
    arms: Mapping[Name, tuple[str, ...]] = {}
    term_weights: Mapping[str, TermWeight] = {}
    train: tuple[Literal["encoder", "quantizer", "decoder"], ...] = ("encoder", "quantizer", "decoder")

    @field_validator("name")
    @classmethod
    def _free(cls, name: str) -> str:
        if name in TAKEN:
            raise ValueError(f"expected a name that no folder of a run has ({', '.join(TAKEN)}), got {name}")
        return name

    @field_validator("train")
    @classmethod
    def _learns(cls, train: tuple[str, ...]) -> tuple[str, ...]:
        if not {"encoder", "decoder"} & set(train):
            raise ValueError(
                f"expected encoder or decoder among the parts that learn, got {list(train)}. "
                "A phase that freezes everything trains nothing: leave it out."
            )
        return train

    @model_validator(mode="after")
    def _terms_or_arms(self) -> Phase:
        if self.arms and self.terms is not None:
            raise ValueError("expected terms or arms, got both. Name the terms of each arm under arms.")
        return self

    def chosen(self, known: Collection[str]) -> dict[str, tuple[str, ...]]:
        """Return the terms that count by arm, of those the recipe has; the arm of a phase without arms is ""."""
        return dict(self.arms) or {"": self.terms if self.terms is not None else tuple(known)}


class EngineOptions(ComputeOptions):
    """Where and how the training of two players computes.

    Args:
        adversary_zero_stage: What DeepSpeed shards for the discriminator, as `zero_stage` says of the model.
        compile: Whether `torch.compile` takes encoder, decoder, discriminator and recognisers. The first steps then
            wait for minutes; numbers change by rounding.
        cudnn_benchmark: Whether cuDNN tries its algorithms on each new shape and takes the fastest, on GPUs alone. Two
            runs may then differ by rounding.
    """

    UNSHARDED = (
        "ZeRO 3 shards the weights themselves, which the discriminator, the adaptive weight and the codebook read "
        "outside of DeepSpeed's forward; 426M weights need no sharding."
    )

    adversary_zero_stage: int = 1
    compile: bool = False
    cudnn_benchmark: bool = True


class EvaluationOptions(Strict):
    """What is measured at the end, on the images that sources keep for the test.

    Args:
        judges: A judge by region kind; a kind without one is shown, not scored.
        batch_size: Number of images that are reconstructed at a time.
        crops: Most regions of each kind whose pictures the report has, target beside each arm.
    """

    judges: Mapping[str, str] = {}
    batch_size: PositiveInt = 25
    crops: NonNegativeInt = 2000
