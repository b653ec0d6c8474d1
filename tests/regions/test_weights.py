"""Weights that a user gives regions: multiplied into what the weighting says, and carried wherever regions go."""

from __future__ import annotations

import pytest
import torch

import regionloss as rl
from regionloss.regions import join
from tests.helpers import pair, text_loss, text_regions

GIVEN = torch.tensor([2.0, 0.0, 1.0, 0.25, 3.0], dtype=torch.float64)


def weighted(weights: torch.Tensor = GIVEN, **more: object) -> rl.Regions:
    plain = text_regions()
    return rl.Regions("text", plain.boxes, plain.image_index, plain.image_size, 3, weights=weights, **more)


def test_they_multiply_the_weighting() -> None:
    """Reference: the values of a term without them, region by region."""
    x, y = pair()
    for chunk_size in (None, 2):
        loss = text_loss(chunk_size=chunk_size)
        ours, plain = loss.per_region(x, y, weighted()), loss.per_region(x, y, text_regions())
        torch.testing.assert_close(ours, plain * GIVEN, rtol=1e-12, atol=0)
    torch.testing.assert_close(loss(x, y, weighted()), (plain * GIVEN).sum() / 3)
    torch.testing.assert_close(loss(x, y, weighted(torch.ones(5))), loss(x, y, text_regions()))


def test_they_go_where_regions_go() -> None:
    regions = weighted()
    assert regions.select(torch.tensor([3, 0])).weights.tolist() == [0.25, 2.0]
    assert regions.padded((8,)).weights.tolist() == [*GIVEN.tolist(), 0, 0, 0]
    assert regions.to("cpu", dtype=torch.float32).weights.dtype == torch.float32
    x, y = pair()
    torch.testing.assert_close(text_loss()(x, y, regions.padded((8,))), text_loss()(x, y, regions))


def test_images_without_them_count_once() -> None:
    box = torch.tensor([[2.0, 3, 14, 9]])
    one = rl.Regions.single("text", box, (16, 16), weights=torch.tensor([0.5]))
    other = rl.Regions.single("text", box, (16, 16))
    assert rl.collate_regions([{"text": one}, {"text": other}])[0]["text"].weights.tolist() == [0.5, 1.0]
    assert join([other, one], "text", (16, 16)).weights.tolist() == [1.0, 0.5]
    assert join([other, other], "text", (16, 16)).weights is None


def test_those_of_invalid_regions_are_not_looked_at() -> None:
    x, y = pair()
    valid = torch.tensor([True, True, False, True, True])
    regions = weighted(torch.where(valid, GIVEN, torch.nan), valid=valid)
    value = text_loss()(x.requires_grad_(), y, regions)
    (gradient,) = torch.autograd.grad(value, x)
    assert gradient.isfinite().all()


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        (-GIVEN, r"^weights \(text\): expected finite numbers, 0 or more, got -2"),
        (GIVEN / 0, r"^weights \(text\): expected finite numbers, 0 or more, got (inf|nan)"),
        (GIVEN[:, None], r"^weights: expected \(5,\), got \(5, 1\)"),
        (GIVEN[:1], r"^weights: expected \(5,\), got \(1,\)"),
        (GIVEN.long(), r"^weights: expected floating point numbers, got torch\.int64"),
        ([1.0] * 5, r"^weights: expected a tensor, got list"),
    ],
)
def test_wrong_ones_are_sentences(weights: object, sentence: str) -> None:
    with pytest.raises(rl.RegionLossError, match=sentence):
        weighted(weights)
