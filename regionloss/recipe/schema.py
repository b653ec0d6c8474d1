"""The fixed part of a recipe. The options of components and trainers have their constructors for a schema."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from regionloss.hooks.term_parts import PARTS, Changes
from regionloss.schedules import WeightSchedule

#: What a list of distances stands for.
WEIGHTED_SUM = "core/weighted-sum"
#: A weight in a recipe: a number, or one that changes with the step.
TermWeight = Annotated[float, Field(ge=0, allow_inf_nan=False)] | WeightSchedule


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class PartUse(_Strict):
    """A component that replaces a term's own, or other options for it.

    Args:
        name: Name of the component; the term's own where it is not said.
        options: Options of the part's constructor.
    """

    name: str | None = None
    options: dict[str, Any] = {}


class DistanceUse(_Strict):
    """One of several distances in a term.

    Args:
        name: Name of the distance.
        weight: Factor of its value in the term's.
        options: Options of its constructor.
    """

    name: str
    weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    options: dict[str, Any] = {}


class TermUse(_Strict):
    """A registered term, with a weight, and what is to be different in it.

    Args:
        use: Name of the term, as `regionloss components term` lists it.
        kind: Kind of region that it reads, instead of its own; a term of no kind needs it.
        weight: Weight in the sum (InsightTok, eq. 3); or keys of a weight that changes with the step. None: the one
            that the term was registered with, or 1 where its backbone, distance or weighting is another.
        start_step: First step at which it counts.
        detector: Name of another detector, or its name and options.
        extractor: The same for what cuts the crops.
        backbone: The same for the recogniser.
        distance: The same for what compares its features; or a list of several distances.
        weighting: The same for what weighs the regions.
    """

    use: str
    kind: Annotated[str, Field(min_length=1)] | None = None
    weight: TermWeight | None = None
    start_step: Annotated[int, Field(ge=0)] = 0
    detector: str | PartUse | None = None
    extractor: str | PartUse | None = None
    backbone: str | PartUse | None = None
    distance: str | PartUse | tuple[DistanceUse, ...] | None = None
    weighting: str | PartUse | None = None

    @property
    def changes(self) -> Changes:
        """What the recipe changes in the term's parts; a bare name stands for a part without options."""
        given = {kind: getattr(self, kind) for kind in PARTS}
        return {kind: _change(part) for kind, part in given.items() if part is not None}


def _change(part: str | PartUse | tuple[DistanceUse, ...]) -> tuple[str | None, dict[str, Any]]:
    if isinstance(part, tuple):
        return WEIGHTED_SUM, {"parts": [one.model_dump() for one in part]}
    return (part, {}) if isinstance(part, str) else (part.name, part.options)


class TrainerUse(_Strict):
    """The trainer and its options.

    Args:
        name: Name of a trainer; those of the reference build are below.
        options: Options of the trainer's constructor.
    """

    name: str
    options: dict[str, Any] = {}


class TermsFile(_Strict):
    """A file of terms alone, for `load_terms`."""

    version: Literal[1]
    plugins: tuple[str, ...] = ()
    terms: dict[str, TermUse]


class Recipe(_Strict):
    """A whole training run.

    Args:
        version: Version of the recipe's form.
        seed: Seed of weights, images and their order.
        plugins: Files of plugins beside the recipe, or names of modules.
        terms: Region terms, by the names that logs and phases give them.
        trainer: The trainer and its options.
    """

    version: Literal[1]
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    plugins: tuple[str, ...] = ()
    terms: dict[str, TermUse] = {}
    trainer: TrainerUse
