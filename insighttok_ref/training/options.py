"""The schema of `trainer.options`: what a recipe may say about a training run."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, NotRequired

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from typing_extensions import TypedDict

from insighttok_ref.tokenizer.model import PRESETS, InsightTokenizer
from insighttok_ref.tokenizer.quantizer import EMAQuantizer


def options_of(target: Callable[..., Any], *without: str, **instead: Any) -> Any:
    """Return the keyword options of a constructor as a typed mapping: nothing about them is written twice.

    Args:
        target: The class.
        without: Parameters that are not options.
        instead: Annotations that say more than the constructor's own, and options besides its own.
    """
    annotations = typing.get_type_hints(target.__init__ if inspect.isclass(target) else target) | instead
    names = dict.fromkeys(name for name in [*inspect.signature(target).parameters, *instead] if name not in without)
    make: Any = TypedDict
    made = make(f"{target.__name__}Options", {name: NotRequired[annotations[name]] for name in names})
    made.__pydantic_config__ = ConfigDict(extra="forbid")
    return made


QuantizerOptions = options_of(EMAQuantizer, "codebook_size", "code_dim")
ModelOptions = options_of(InsightTokenizer, quantizer=QuantizerOptions, preset=Literal[tuple(PRESETS)])

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]


class Strict(BaseModel):
    """Options that know all their keys and do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Phase(Strict):
    """One phase: its length, schedule and region terms. With `arms` it is run once per arm, each from the same weights.

    Args:
        name: Name in logs and folders.
        steps: Optimizer steps.
        batch_size: Images a step.
        lr: Peak of the cosine.
        warmup: Share of the steps over which the learning rate rises.
        terms: Names of the recipe's region terms that count; None for all.
        arms: Instead of `terms`, those of each arm by its name.
        train: Parts of the tokenizer that learn.
    """

    name: Name
    steps: PositiveInt
    batch_size: PositiveInt = 16
    lr: PositiveFloat = 1e-3
    warmup: Annotated[float, Field(ge=0, le=1)] = 0.05
    terms: tuple[str, ...] | None = None
    arms: Mapping[Name, tuple[str, ...]] = {}
    train: tuple[str, ...] = ("encoder", "quantizer", "decoder")

    @model_validator(mode="after")
    def _one_of_both(self) -> Phase:
        if self.arms and self.terms is not None:
            raise ValueError("expected terms or arms, got both. Name the terms of each arm under arms.")
        return self


class EngineOptions(Strict):
    """Where and how the run computes.

    Args:
        device: A torch device.
        threads: CPU threads; None leaves torch's choice.
    """

    device: str = "cpu"
    threads: PositiveInt | None = None


class LogOptions(Strict):
    """How often the run writes, in steps.

    Args:
        every: Lines of metrics.jsonl.
        save_every: Training states to go on from.
    """

    every: PositiveInt = 5
    save_every: PositiveInt = 200


class EvaluationOptions(Strict):
    """What is measured at the end, on images that were not trained on.

    Args:
        judges: A judge by region kind; a kind without one is shown, not scored.
        batch_size: Images at a time.
        crops: Regions shown in the report, target beside each arm.
    """

    judges: Mapping[str, str] = {}
    batch_size: PositiveInt = 25
    crops: NonNegativeInt = 24


def build_tokenizer(options: Mapping[str, Any]) -> InsightTokenizer:
    """Return the tokenizer of `ModelOptions`: a preset's, where one is named, with the other options over it."""
    chosen = dict(options)
    preset = chosen.pop("preset", None)
    return InsightTokenizer(**chosen) if preset is None else InsightTokenizer.from_preset(preset, **chosen)
