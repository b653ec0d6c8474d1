"""F-Sim on given keypoints; a face that cannot be aligned is there, with the reason."""

from __future__ import annotations

import math

import pytest
import torch

from regionloss.evaluation.benchmarks import FaceBenchmark
from regionloss.evaluation.pairs import Instance
from regionloss.hooks.catalogue import catalogue
from regionloss.judges import Embedding
from tests.evaluation.benchmarks.doubles import Knower, pair

POINTS = ((20.0, 20.0), (40.0, 21.0), (30.0, 32.0), (22.0, 42.0), (38.0, 43.0))
BOX = (10.0, 8.0, 50.0, 56.0)


def noise(seed: int) -> torch.Tensor:
    return torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def at(image: torch.Tensor) -> list[float]:
    return [float(image[channel, int(y), int(x)]) for channel in range(3) for x, y in POINTS]


def test_likeness_is_the_cosine_and_not_clipped() -> None:
    first, second = noise(0), noise(1)
    face = Instance("face", BOX, 0.6, keypoints=POINTS)
    benchmark = FaceBenchmark({"knower": Knower()})
    (one,) = benchmark.examine(pair(first, [face], second)).verdicts
    a, b = at(first), at(second)
    wanted = sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)
    assert one.values == {"f_sim": pytest.approx(wanted, abs=1e-6)}
    (opposite,) = benchmark.examine(pair(first, [face], -first)).verdicts
    assert opposite.values["f_sim"] == pytest.approx(-1)


ODD = {
    "face without keypoints": None,
    "face without five keypoints: it has 4": POINTS[:4],
    "face with unknown keypoints": (*POINTS[:4], (float("nan"), 1.0)),
    "face with keypoints in one place": (POINTS[0],) * 5,
    "face with keypoints outside the image": tuple((x + 100, y) for x, y in POINTS),
}


def test_faces_that_cannot_be_aligned_are_verdicts_with_a_problem() -> None:
    faces = [Instance("face", BOX, 0.6, keypoints=points) for points in (*ODD.values(), POINTS)]
    lost = Instance("face", (-90.0, 0.0, -80.0, 5.0), 0.6, keypoints=POINTS)  # keypoints alone align it
    asked = pair(noise(0), [Instance("text", BOX, 0.1, text="a"), *faces, lost])
    found = FaceBenchmark({"knower": Knower()}).examine(asked).verdicts
    assert [one.number for one in found] == list(range(1, 8))
    for wanted, one in zip(ODD, found, strict=False):
        assert one.problem.startswith(wanted)
        assert one.values == {}
    assert [one.values["f_sim"] for one in found[5:]] == pytest.approx([1, 1])


def test_a_network_that_gives_no_number_is_a_problem() -> None:
    class Broken(Knower):
        def judge(self, images: object, regions: object) -> list[Embedding]:
            return [Embedding(torch.full((4,), torch.nan))]

    (one,) = (
        FaceBenchmark({"b": Broken()}).examine(pair(noise(0), [Instance("face", BOX, 1, keypoints=POINTS)])).verdicts
    )
    assert one.values == {}
    assert one.problem.startswith("description without finite numbers")


@pytest.mark.weights
@pytest.mark.parametrize("name", ["face/faceres", "face/dlib"])
def test_an_original_beside_itself_is_wholly_alike_and_another_picture_is_not(name: str, weights) -> None:
    weights("faceres-bin"), weights("dlib-face-resnet")
    benchmark = FaceBenchmark({name: catalogue().build("judge", name, {})})
    face = Instance("face", BOX, 0.6, keypoints=POINTS)
    (same,) = benchmark.examine(pair(noise(0), [face])).verdicts
    assert same.values["f_sim"] == pytest.approx(1, abs=1e-9)
    (other,) = benchmark.examine(pair(noise(0), [face], torch.zeros(3, 64, 64))).verdicts
    assert other.values["f_sim"] < 0.99
    said = benchmark.about["judges"][name]  # type: ignore[index]
    assert "five keypoints" in said["pipeline"]
    assert said["language_model"] is None
