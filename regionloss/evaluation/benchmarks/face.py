"""Faces that are still recognised: F-Sim on given keypoints, by every judge."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from regionloss.evaluation.benchmarks.base import Measure, Verdict
from regionloss.evaluation.benchmarks.instances import JudgedBenchmark, answers, box_problem
from regionloss.evaluation.metrics.features import cosine
from regionloss.evaluation.pairs.pair import Instance, Pair, regions_of
from regionloss.judges import Embedding, Judge

KEYPOINTS = 5


class FaceBenchmark(JudgedBenchmark):
    """Compares every face in original and reconstruction, aligned by the same keypoints of the data.

    Nothing is detected. A face without five keypoints is a verdict with a problem.

    Args:
        judges: Judges of likeness by the name that tables show.

    Raises:
        InputError: No judge, or one of another kind of region.

    Source: InsightTok, section 4; TokBench (F-Sim).
    """

    name = kind = "face"
    measures: Mapping[str, Measure] = {
        "f_sim": Measure("F-Sim", hint="Cosine of the judge's embeddings of original and reconstruction, in [-1, 1].")
    }

    def __init__(self, judges: Mapping[str, Judge]) -> None:
        super().__init__(judges)
        self.about: Mapping[str, object] = {
            "judges": {name: facts.shown() for name, facts in self.facts.items()},
            "alignment": "the five keypoints of the data, for original and reconstruction alike",
        }

    def verdicts(self, judge: str, pair: Pair, numbers: Sequence[int]) -> list[Verdict]:
        """Return the verdicts of one judge on these faces."""
        instances = pair.original.instances
        size = (pair.target.shape[2], pair.target.shape[3])
        found = {n: Verdict(n, judge, problem=keypoints_problem(instances[n], size)) for n in numbers}
        good = [n for n in numbers if not found[n].problem]
        if good:
            regions = regions_of([with_box(instances[n], size) for n in good], "face", size)
            said = answers(judge, self.judges[judge].judge, (pair.target, pair.output), regions)
            found |= {n: likeness(n, judge, *both) for n, both in zip(good, said, strict=True)}
        return [found[n] for n in numbers]


def likeness(number: int, name: str, original: Embedding, reconstruction: Embedding) -> Verdict:
    """Return the verdict that two descriptions of a face make."""
    value = float(cosine(original.vector.double(), reconstruction.vector.double()))
    if not math.isfinite(value):
        return Verdict(number, name, problem="description without finite numbers: the judge's network gave none")
    return Verdict(number, name, {"f_sim": value})


def keypoints_problem(instance: Instance, image_size: tuple[int, int]) -> str:
    """Return why a face cannot be aligned, a sentence; empty where it can."""
    points = instance.keypoints
    if points is None:
        return "face without keypoints: alignment needs five"
    if len(points) != KEYPOINTS:
        return f"face without five keypoints: it has {len(points)}"
    if not all(math.isfinite(value) for point in points for value in point):
        return "face with unknown keypoints: alignment needs all five"
    if len(set(points)) == 1:
        return "face with keypoints in one place: nothing can be aligned by them"
    height, width = image_size
    if not any(0 <= x <= width and 0 <= y <= height for x, y in points):
        return f"face with keypoints outside the image: of {height} x {width} pixels"
    return ""


def with_box(instance: Instance, image_size: tuple[int, int]) -> Instance:
    """Return a face whose box can be cut: the whole image where its own cannot, since keypoints alone align it."""
    height, width = image_size
    return replace(instance, box=(0.0, 0.0, width, height)) if box_problem(instance, image_size) else instance
