"""`calibrate`: the weight at which a term's gradient is as strong as the rest's, against one image at a time."""

from __future__ import annotations

import statistics

import pytest
import torch

import regionloss as rl
from tests.helpers import images, text_loss, text_regions


def norm(value: torch.Tensor, made: torch.Tensor) -> float:
    return float(torch.autograd.grad(value, made)[0].norm())


def test_the_proposal_makes_the_median_norms_equal() -> None:
    target, made, regions = images(3), images(3, seed=1), text_regions(3)
    terms = rl.LossTerms({"mine": rl.Term(text_loss(), "text", 0.3)})
    (row,) = rl.calibrate(terms, made, target, regions)
    found, reference = [], []
    for number in (0, 2):  # image 1 has no region
        one, own = made[number : number + 1].clone().requires_grad_(), target[number : number + 1]
        found.append(norm(text_loss()(one, own, regions.of_image(number)), one))
        reference.append(norm((one - own).abs().mean(), one))
    assert (row["term"], row["kind"], row["weight"], row["images"]) == ("mine", "text", 0.3, 2)
    # torch's median of two is the lower one.
    assert row["gradient"] == pytest.approx(statistics.median_low(found), rel=1e-10)
    assert row["proposed"] == pytest.approx(statistics.median_low(reference) / statistics.median_low(found), rel=1e-10)
    (twice,) = rl.calibrate(terms, made, target, regions, lambda x, y: 2 * (x - y).abs().mean())
    assert twice["proposed"] == pytest.approx(2 * row["proposed"])
    with torch.no_grad():
        assert rl.calibrate(terms, made, target, regions) == [row]


def test_a_term_without_regions_has_no_proposal() -> None:
    terms = rl.LossTerms({"mine": rl.Term(text_loss(), "text")})
    (row,) = rl.calibrate(terms, images(3), images(3, seed=1), rl.Regions.empty("text", (40, 48), 3))
    assert (row["images"], row["proposed"]) == (0, None)


def test_what_has_no_gradient_is_a_sentence() -> None:
    terms = rl.LossTerms({"mine": rl.Term(text_loss(), "text")})
    for beside in (lambda x, y: 1.0, lambda x, y: (x - y).abs(), lambda x, y: x.detach().mean()):
        with pytest.raises(rl.RegionLossError, match="calibrate: beside: expected a value, 0-d, with a gradient"):
            rl.calibrate(terms, images(3), images(3, seed=1), text_regions(3), beside)
