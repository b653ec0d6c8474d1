"""What is asked before a judge is: whether an instance can be judged at all, and what the judge then says of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from regionloss.errors import InputError, expected
from regionloss.evaluation.benchmarks.base import Examined, Gathered, Verdict
from regionloss.evaluation.pairs.pair import Instance, Pair
from regionloss.judges import Judge, JudgeFacts
from regionloss.regions.regions import Regions

Ask = Callable[[Tensor, Regions], Sequence[Any]]


class JudgedBenchmark:
    """What benchmarks of one kind of instances share: every judge is asked about every instance.

    Args:
        judges: Judges by the name that tables show.

    Raises:
        InputError: No judge, or one of another kind of region.
    """

    name: str
    #: Kind of the instances.
    kind: str

    def __init__(self, judges: Mapping[str, Judge]) -> None:
        check_judges(f"suite {self.name}", judges, self.kind)
        self.judges = judges
        self.facts = {name: JudgeFacts.of(judge) for name, judge in judges.items()}

    def examine(self, pair: Pair) -> Examined:
        """Return a verdict of every judge on every instance, those that cannot be judged included."""
        numbers = pair.numbers(self.kind)
        return Examined(verdicts=[one for name in self.judges for one in self.verdicts(name, pair, numbers)])

    def verdicts(self, judge: str, pair: Pair, numbers: Sequence[int]) -> list[Verdict]:
        """Return the verdicts of one judge on the instances of these numbers, in their order."""
        raise NotImplementedError

    def summary(self, gathered: Gathered) -> Mapping[str, float]:
        """Return no measures: there are none of the whole set."""
        return {}


def check_judges(benchmark: str, judges: Mapping[str, Judge], kind: str) -> None:
    """Raise InputError unless there is a judge, and all are of this kind."""
    if not judges:
        advice = "Name one with --judges; 'regionloss components judge' lists them."
        raise InputError(expected(benchmark, f"a judge of '{kind}' regions at least", "none", advice))
    for name, judge in judges.items():
        if judge.kind != kind:
            raise InputError(expected(benchmark, f"judges of '{kind}' regions", f"{name}, of '{judge.kind}' regions"))


def box_problem(instance: Instance, image_size: tuple[int, int]) -> str:
    """Return why no crop can be cut from a box, a sentence; empty where one can."""
    x1, y1, x2, y2 = instance.box
    got = f"[{', '.join(f'{side:g}' for side in instance.box)}]"
    height, width = image_size
    if not all(map(math.isfinite, instance.box)):
        return f"box without finite numbers: {got}"
    if x1 >= x2 or y1 >= y2:
        return f"empty box: {got}"
    if x2 <= 0 or y2 <= 0 or x1 >= width or y1 >= height:
        return f"box outside the image: {got}, of {height} x {width} pixels"
    return ""


def answers(name: str, ask: Ask, images: Sequence[Tensor], regions: Regions) -> list[tuple[Any, ...]]:
    """Return what a judge says of each region in each of several images, asked in the same way for each.

    Args:
        name: Name of the judge.
        ask: Asks the judge about regions of images (B, 3, H, W), such as its `judge`.
        images: Images (1, 3, H, W) in [-1, 1].
        regions: Regions that it is asked about.

    Raises:
        InputError: It did not answer once a region.
    """
    found = []
    for image in images:
        said = ask(image, regions)
        if len(said) != len(regions):
            raise InputError(expected(f"judge '{name}'", f"{len(regions)} answers, one a region", str(len(said))))
        found.append(said)
    return list(zip(*found, strict=True))
