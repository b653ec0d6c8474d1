"""The parts of a run, in order: each phase, or each arm of a phase."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol

from typing_extensions import TypeVar

from insighttok_ref.trainers.tokenizer.options import Phase
from regionloss.errors import InputError, did_you_mean, expected


class Stretch(Protocol):
    """Steps that a recipe asks for, whatever is trained in them."""

    @property
    def steps(self) -> int:
        """Number of optimizer steps."""

    @property
    def batch_size(self) -> int:
        """Images a step, over all ranks."""


P_co = TypeVar("P_co", bound=Stretch, covariant=True, default=Phase)


@dataclass(frozen=True)
class Part(Generic[P_co]):
    """Steps that are trained in one go.

    Args:
        name: `phase`, or `phase/arm`; also its folder.
        phase: Length, schedule, parts that learn.
        terms: Names of the region terms that count.
        starts_from: Part whose weights it starts from; empty for new weights.
        first_step: Steps of the run before it.
        first_batch: Number of its first batch in the run's one order of data. Arms of a phase share it.
        seed: Seed of torch's random numbers. Arms of a phase share it.
        image_size: Side of its images, pixels; 0 where it sees none.
    """

    name: str
    phase: P_co
    terms: tuple[str, ...]
    starts_from: str
    first_step: int
    first_batch: int
    seed: int
    image_size: int = 0


def plan(phases: Sequence[Phase], terms: Collection[str], seed: int, image_size: int = 0) -> tuple[Part, ...]:
    """Return the parts of a run.

    Args:
        phases: Phases in order; one with arms ends the run.
        terms: Names of the recipe's region terms.
        seed: Seed of the recipe.
        image_size: Side of the images of phases that do not say theirs, pixels.

    Raises:
        InputError: Phases of one name, arms before the last phase, or a term that the recipe does not have.
    """
    parts: list[Part] = []
    first_step = first_batch = 0
    before = ""
    for number, phase in enumerate(phases):
        _check(phase, phases, number, terms)
        for arm, chosen in phase.chosen(terms).items():
            name = f"{phase.name}/{arm}" if arm else phase.name
            side = phase.image_size or image_size
            parts.append(Part(name, phase, chosen, before, first_step, first_batch, seed + number, side))
            first_step += phase.steps
        first_batch += phase.steps
        before = phase.name
    return tuple(parts)


def _check(phase: Phase, phases: Sequence[Phase], number: int, terms: Collection[str]) -> None:
    if phase.arms and number < len(phases) - 1:
        advice = "What follows would not know which arm to start from."
        raise InputError(expected(f"phases[{number}].arms", "arms in the last phase alone", "them earlier", advice))
    if phase.name in {other.name for other in phases[:number]}:
        raise InputError(expected(f"phases[{number}].name", "a name of its own", f"'{phase.name}' again"))
    named = [name for chosen in phase.chosen(()).values() for name in chosen]
    for name in (*named, *phase.term_weights):
        if name not in terms:
            raise InputError(f"phases[{number}]: the recipe has no term '{name}'. {did_you_mean(name, terms)}")
    used = {name for chosen in phase.chosen(terms).values() for name in chosen}
    for name in phase.term_weights:
        if name not in used:
            advice = f"Name it in the terms of '{phase.name}', or leave out its weight."
            raise InputError(expected(f"phases[{number}].term_weights", "terms of the phase", f"'{name}'", advice))
