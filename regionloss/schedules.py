"""Weights that change with the step."""

from __future__ import annotations

import math
import sys
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from regionloss.errors import InputError, expected
from regionloss.limits import number_of

#: A weight, or what gives one for each step from the term's first on.
Weight = float | Callable[[int], float]
#: A step after all others: every term counts, and every schedule has come to its end.
LAST_STEP = sys.maxsize
BETWEEN = ("line", "cosine", "steps")


@dataclass(frozen=True)
class WeightSchedule:
    """A weight through points; before the first and after the last of them it stays as it is there.

    Args:
        points: Pairs of a step, counted from the term's `start_step`, and the weight there, in rising order of steps.
        between: What lies between two points: a straight `line`, half a `cosine` wave, or `steps`: the earlier weight.

    Raises:
        InputError: No points, steps that do not rise, a weight that is negative or not finite, another word.

    Example:
        >>> ramp = WeightSchedule(((0, 0.0), (1000, 0.02)))
        >>> ramp(0), ramp(500), ramp(5000)
        (0.0, 0.01, 0.02)
    """

    points: tuple[tuple[int, float], ...]
    between: Literal["line", "cosine", "steps"] = "line"

    def __post_init__(self) -> None:
        if not isinstance(self.points, tuple | list) or not self.points or not all(map(_is_pair, self.points)):
            wanted = "pairs of a step and a weight, such as [[0, 0], [1000, 0.02]]"
            raise InputError(expected("points", wanted, repr(self.points)[:60]))
        for step, weight in self.points:
            number_of(step, "points", "steps of 0 or more", 0, sys.maxsize, whole=True)
            check_weight(weight, "points")
        steps = [step for step, _ in self.points]
        if any(later <= earlier for earlier, later in pairwise(steps)):
            raise InputError(expected("points", "steps that rise", str(steps)))
        if self.between not in BETWEEN:
            raise InputError(expected("between", "'line', 'cosine' or 'steps'", repr(self.between)))
        object.__setattr__(self, "points", tuple((step, float(weight)) for step, weight in self.points))

    def __call__(self, step: int) -> float:
        """Return the weight at a step."""
        after = bisect_right([first for first, _ in self.points], step)
        if after in (0, len(self.points)):
            return self.points[max(after - 1, 0)][1]
        (first, low), (last, high) = self.points[after - 1 : after + 1]
        share = (step - first) / (last - first)
        if self.between == "cosine":
            share = (1 - math.cos(math.pi * share)) / 2
        return low if self.between == "steps" else low + (high - low) * share

    def __str__(self) -> str:
        return f"{', '.join(f'{weight:g} at {step}' for step, weight in self.points)} ({self.between})"


def _is_pair(point: object) -> bool:
    return isinstance(point, tuple | list) and len(point) == 2


def check_weight(weight: object, where: str) -> None:
    """Raise InputError unless a weight is a finite number, 0 or more."""
    number_of(weight, where, "a finite weight, 0 or more", 0, sys.float_info.max)


def weight_at(weight: Weight, step: int | None, where: str) -> float:
    """Return a weight at a step that is counted from the term's first.

    Raises:
        InputError: A weight that changes, and no step; or a schedule that gives no weight.
    """
    if not callable(weight):
        return weight
    if step is None:
        advice = "Say which: terms(reconstruction, target, regions, step)."
        raise InputError(expected("step", f"a training step, as {where} changes", "none", advice))
    found = weight(max(step, 0))
    check_weight(found, f"{where} at step {step}")
    return found


def told(weight: Weight) -> str:
    """Return a weight as sentences and tables have it."""
    return str(weight) if callable(weight) else f"{weight:g}"
