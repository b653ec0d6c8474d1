"""Measures against the recursive definition, scikit-image's PSNR, closed forms and the normal interval."""

from __future__ import annotations

import functools
import itertools
import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

from regionloss.errors import InputError
from regionloss.evaluation.metrics import (
    Interval,
    bootstrap,
    cosine,
    edit_similarity,
    exact,
    levenshtein,
    psnr,
    region_mask,
)
from regionloss.regions import Regions


@functools.cache
def by_recursion(first: str, second: str) -> int:
    """The definition itself."""
    if not first or not second:
        return len(first) + len(second)
    if first[0] == second[0]:
        return by_recursion(first[1:], second[1:])
    options = (first[1:], second), (first, second[1:]), (first[1:], second[1:])
    return 1 + min(by_recursion(*option) for option in options)


def test_edit_distance_of_all_short_texts_equals_the_recursive_definition():
    texts = ["".join(t) for n in range(5) for t in itertools.product("aB", repeat=n)]
    for first, second in itertools.product(texts, repeat=2):
        assert levenshtein(first, second) == by_recursion(first, second)


def test_edit_distance_counts_characters_and_takes_any():
    """Not bytes, nor halves of a character; words that a judge reads may be long or hold what no font has."""
    assert levenshtein("na\u00efve \U0001f600", "naive \U0001f600") == 1
    assert levenshtein("e\u0301", "\u00e9") == 2
    assert levenshtein("\ud800", "") == 1
    assert levenshtein("ab" * 3000, "ba" * 3000) == 2


def test_known_edit_similarities():
    assert levenshtein("kitten", "sitting") == 3
    assert edit_similarity("kitten", "sitting") == pytest.approx(1 - 3 / 7)
    assert edit_similarity("", "") == 1.0
    assert edit_similarity("", "word") == 0.0
    assert edit_similarity("WORD", "word") == 0.0


def test_exact_match_minds_capitals():
    assert exact("Open", "Open") == 1.0
    assert exact("open", "Open") == 0.0


def images(seed: int) -> torch.Tensor:
    return torch.rand(3, 3, 20, 30, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_psnr_of_whole_images_equals_scikit_image():
    first, second = images(0), images(1)
    reference = [
        peak_signal_noise_ratio(a.numpy().astype(np.float64), b.numpy().astype(np.float64), data_range=2.0)
        for a, b in zip(first, second, strict=True)
    ]
    assert psnr(second, first).tolist() == pytest.approx(reference, rel=1e-12)


def test_psnr_inside_and_outside_equals_scikit_image_on_the_cut_out_pixels():
    first, second = images(2), images(3)
    boxes = torch.tensor([[2.0, 3.0, 11.0, 9.0], [0.0, 0.0, 30.0, 5.0], [8.0, 6.0, 20.0, 12.0]])
    regions = Regions("text", boxes, torch.tensor([0, 1, 0]), (20, 30), 2)
    mask = region_mask(regions)
    by_hand = np.zeros((20, 30), bool)
    by_hand[3:9, 2:11] = True
    by_hand[6:12, 8:20] = True
    assert np.array_equal(mask[0, 0].numpy(), by_hand)
    a, b = first[0].double().numpy(), second[0].double().numpy()
    for where, wanted in ((mask, by_hand), (~mask, ~by_hand)):
        reference = peak_signal_noise_ratio(a[:, wanted], b[:, wanted], data_range=2.0)
        assert psnr(second[:2], first[:2], where)[0].item() == pytest.approx(reference, rel=1e-12)


def test_psnr_clips_what_no_viewer_shows_and_says_nan_where_no_pixel_counts():
    target = torch.ones(1, 3, 4, 4)
    assert math.isinf(psnr(target * 1.5, target).item())
    assert math.isnan(psnr(target, target, torch.zeros(1, 1, 4, 4, dtype=torch.bool)).item())


def test_psnr_of_a_constant_error_has_its_closed_form():
    target = torch.zeros(1, 3, 4, 4)
    assert psnr(target + 0.2, target).item() == pytest.approx(20.0, abs=1e-5)


def test_psnr_refuses_other_shapes():
    with pytest.raises(InputError, match="one shape"):
        psnr(torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 5))


def test_a_pixel_is_in_a_region_that_covers_its_centre():
    regions = Regions("text", torch.tensor([[0.6, 0.4, 2.5, 1.5]]), torch.tensor([0]), (3, 4), 1)
    wanted = torch.zeros(3, 4, dtype=torch.bool)
    wanted[0, 1:2] = True
    assert torch.equal(region_mask(regions)[0, 0], wanted)


def test_regions_that_are_not_valid_are_not_in_the_mask():
    boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [2.0, 2.0, 4.0, 4.0]])
    regions = Regions("text", boxes, torch.zeros(2).long(), (4, 4), 1, valid=torch.tensor([True, False]))
    assert region_mask(regions).sum() == 4


def test_the_mask_needs_the_number_of_images():
    with pytest.raises(InputError, match="num_images"):
        region_mask(Regions("text", torch.zeros(0, 4), torch.zeros(0).long(), (4, 4)))


def test_cosine_has_its_closed_form():
    first = torch.tensor([[3.0, 4.0], [1.0, 0.0]])
    second = torch.tensor([[4.0, 3.0], [-2.0, 0.0]])
    assert cosine(first, second).tolist() == pytest.approx([24 / 25, -1.0])


def test_bootstrap_of_independent_values_agrees_with_the_normal_interval():
    values = torch.randn(400, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    interval = bootstrap(values.tolist())
    half = 1.96 * float(values.std()) / math.sqrt(400)
    assert interval.mean == pytest.approx(float(values.mean()))
    assert interval.low == pytest.approx(interval.mean - half, abs=0.12 * half)
    assert interval.high == pytest.approx(interval.mean + half, abs=0.12 * half)


def test_bootstrap_draws_whole_images():
    """Four equal words of an image are one observation: the interval is twice as wide as if they were four."""
    once = torch.randn(100, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    values, groups = once.repeat_interleave(4).tolist(), [i for i in range(100) for _ in range(4)]
    alone, grouped = bootstrap(values), bootstrap(values, groups)
    assert (grouped.high - grouped.low) / (alone.high - alone.low) == pytest.approx(2.0, rel=0.1)


def test_bootstrap_gives_the_same_interval_again():
    assert bootstrap([0.0, 1.0, 1.0, 0.0, 1.0]) == bootstrap([0.0, 1.0, 1.0, 0.0, 1.0])


def test_bootstrap_needs_values():
    with pytest.raises(InputError, match="one value at least"):
        bootstrap([])


def test_one_group_alone_says_nothing_of_another():
    assert bootstrap([1.0, 2.0, 4.0], [7, 7, 7]) == Interval(7 / 3, -math.inf, math.inf)
