"""Weights of boxes whose areas are known by hand."""

from __future__ import annotations

import pytest
import torch

from regionloss import Regions
from regionloss.weightings.area import AreaWeighting, ScoreWeighting, SqrtAreaWeighting, UniformWeighting

#: In an image of 40 x 50: a hundredth of it, a quarter, all of it, and a box of which a hundredth of the image is seen.
BOXES = [[0.0, 0, 5, 4], [25, 20, 50, 40], [0, 0, 50, 40], [45, 36, 60, 50]]
SHARES = [0.01, 0.25, 1.0, 0.01]
ROOTS = [0.1, 0.5, 1.0, 0.1]
SCORES = [0.5, 0.2, 1.0, 0.0]
SCORED = [0.005, 0.05, 1.0, 0.0]


def regions(scores: list[float] | None = None) -> Regions:
    given = None if scores is None else torch.tensor(scores)
    return Regions("text", torch.tensor(BOXES), torch.tensor([0, 1, 1, 0]), (40, 50), 2, scores=given)


@pytest.mark.parametrize(
    ("weighting", "scores", "expected"),
    [
        (AreaWeighting(), SCORES, SHARES),
        (SqrtAreaWeighting(), SCORES, ROOTS),
        (ScoreWeighting(), SCORES, SCORED),
        (ScoreWeighting(), None, SHARES),
        (UniformWeighting(), SCORES, [1.0] * 4),
        (UniformWeighting(0.3), None, [0.3] * 4),
    ],
)
def test_weights_of_known_boxes(weighting, scores, expected) -> None:
    torch.testing.assert_close(weighting(regions(scores)), torch.tensor(expected))


def test_names_mean_these_weights() -> None:
    from regionloss.hooks.catalogue import catalogue

    for name, expected in (("area", SHARES), ("sqrt-area", ROOTS), ("score", SCORED), ("uniform", [1.0] * 4)):
        found = catalogue().build("weighting", name, {})(regions(SCORES))
        torch.testing.assert_close(found, torch.tensor(expected))
