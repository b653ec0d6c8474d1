"""What would be read by chance, against all ways in which images may be shuffled."""

from __future__ import annotations

from itertools import permutations
from statistics import mean

import pytest
import torch

from regionloss.evaluation.generation import AskedTextBenchmark
from regionloss.evaluation.metrics.texts import edit_similarity
from regionloss.evaluation.pairs import Instance
from regionloss.judges import Reading
from tests.evaluation.benchmarks.doubles import Reader, pair

BOX = (0.0, 0.0, 16.0, 16.0)
READ = {-1.0: "sun", 0.0: "sea", 1.0: "fun"}
ASKED = ["sun", "sea", "sun"]


def says(value: float) -> Reading:
    return Reading(READ[value], 0.9)


def test_chance_is_the_mean_over_all_shuffles_of_the_images() -> None:
    benchmark = AskedTextBenchmark({"reader": Reader(says)}, ASKED)
    asked_and_drawn = zip(ASKED, READ, strict=True)
    found = [
        benchmark.examine(
            pair(torch.zeros(3, 16, 16), [Instance("text", BOX, 0.1, text=text)], torch.full((3, 16, 16), value))
        )
        for text, value in asked_and_drawn
    ]
    values = [verdict.values for one in found for verdict in one.verdicts]
    assert mean(one["t_acc"] for one in values) == pytest.approx(2 / 3)
    shuffled = [list(zip(ASKED, order, strict=True)) for order in permutations(READ.values())]
    hits = mean(mean(text == read for text, read in pairs) for pairs in shuffled)
    near = mean(mean(edit_similarity(read, text) for text, read in pairs) for pairs in shuffled)
    assert mean(one["chance_acc"] for one in values) == pytest.approx(hits)
    assert mean(one["chance_ned"] for one in values) == pytest.approx(near)


def test_an_image_that_cannot_be_judged_has_no_chance() -> None:
    instance = Instance("text", (60.0, 2.0, 70.0, 9.0), 0.1, text="sun")
    (one,) = (
        AskedTextBenchmark({"reader": Reader(says)}, ASKED).examine(pair(torch.zeros(3, 16, 16), [instance])).verdicts
    )
    assert one.problem
    assert one.values == {}
