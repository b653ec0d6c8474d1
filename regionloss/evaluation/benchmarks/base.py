"""What every benchmark is: measures with titles and units, one pair examined at a time, answers that add up.

A pair's answers depend on that pair alone, never on its neighbours: so an evaluation may stop and go on anywhere, and
be shared among processes, with the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from regionloss.evaluation.pairs import Pair


@dataclass(frozen=True)
class Measure:
    """A number that tables show.

    Args:
        title: Head of its column.
        unit: `%` where it is a share that is shown as one, `dB`, ..., or empty.
        higher_is_better: Whether more is better.
        hint: What it is, in one sentence.
        per: What it is a mean over: `instance`, `image`, or `set` (a number of all images together).
        enough: Images from which it says something; below, a note stands beside it.
    """

    title: str
    unit: str = ""
    higher_is_better: bool = True
    hint: str = ""
    per: str = "instance"
    enough: int = 0


@dataclass(frozen=True)
class Verdict:
    """What one judge makes of one instance.

    Args:
        number: Place of the instance in its image's list.
        judge: Name of the judge.
        values: Values by measure; the ceiling of one, what the original itself reaches, by `original/<measure>`.
        read: What the judge read in the reconstruction; None where it does not read.
        original: What it read in the original.
        truth: What the reading was compared with; None where it does not read.
        truth_from: Where that is from: `transcription`, or `judge` where it is what the judge itself read in the
            original; empty where it does not read.
        problem: Why there are no values, a sentence that begins with the kind of problem; empty where there are.
    """

    number: int
    judge: str
    values: Mapping[str, float] = field(default_factory=dict)
    read: str | None = None
    original: str | None = None
    truth: str | None = None
    problem: str = ""
    truth_from: str = ""


@dataclass(frozen=True, eq=False)
class Examined:
    """A benchmark's answers for one pair.

    Args:
        values: Values of the image by measure; infinite ones too (equal images), but never NaN: what cannot be said of
            an image is absent.
        verdicts: What judges make of its instances.
        features: Rows (D,) by name, to be looked at all together at the end; `<name>/original` and
            `<name>/reconstruction`.
        counts: Numbers that are added up over images, arrays of one shape by name.
        problems: Sentences about what could not be judged, each beginning with the kind of problem.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    verdicts: Sequence[Verdict] = ()
    features: Mapping[str, np.ndarray] = field(default_factory=dict)
    counts: Mapping[str, np.ndarray] = field(default_factory=dict)
    problems: Sequence[str] = ()


@dataclass(frozen=True)
class Gathered:
    """What the pairs of an evaluation have given, for measures of the whole set.

    Args:
        features: Rows (N, D) by name, image after image, in blocks: (block, D) arrays that may be read once and again.
        counts: Sums by name.
        images: How many pairs were examined.
    """

    features: Mapping[str, Sequence[np.ndarray]]
    counts: Mapping[str, np.ndarray]
    images: int


class Benchmark(Protocol):
    """A question that pairs are asked.

    `name` is the word that `--suite` takes; `about` is what stands beside its scores: tools, versions, weights' hashes
    and image pipelines, plain data; results are told apart by it.
    """

    name: str
    measures: Mapping[str, Measure]
    about: Mapping[str, object]

    def examine(self, pair: Pair) -> Examined:
        """Return the answers of one pair."""
        ...

    def summary(self, gathered: Gathered) -> Mapping[str, float]:
        """Return the measures of the whole set (`per="set"`) by name; those that cannot be said are absent."""
        ...


def notes_of(benchmark: Benchmark, images: int) -> list[str]:
    """Return a sentence for each measure of a benchmark that so few images say little of."""
    return [
        f"{benchmark.name}: {measure.title} of {images} images says little; {measure.enough} or more are needed."
        for measure in benchmark.measures.values()
        if images < measure.enough
    ]
