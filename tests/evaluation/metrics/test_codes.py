"""Codes: closed forms, and counts that add up."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from regionloss.errors import InputError
from regionloss.evaluation.metrics import bits_per_pixel, count_codes, perplexity, usage


def test_perplexity_has_its_closed_forms() -> None:
    assert perplexity(np.array([7, 7, 7, 7])) == pytest.approx(4.0, rel=1e-12)
    assert perplexity(np.array([0, 5, 0])) == 1.0
    assert perplexity(np.array([3, 1, 0])) == pytest.approx(4 / 3**0.75, rel=1e-12)  # exp(-(3/4 log 3/4 + 1/4 log 1/4))


def test_usage_is_the_share_of_codes_that_occur() -> None:
    assert usage(np.array([1, 0, 900, 0])) == 0.5


def test_counts_of_images_add_up_to_those_of_all() -> None:
    ids = torch.randint(0, 50, (9, 4, 4), generator=torch.Generator().manual_seed(0))
    each = sum(count_codes(one, 50) for one in ids)
    assert np.array_equal(each, count_codes(ids, 50))
    assert each.sum() == ids.numel()
    assert each[7] == int((ids == 7).sum())


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_integers_of_any_width_and_shape_are_counted(dtype: torch.dtype) -> None:
    assert count_codes(torch.tensor([[[2]], [[0]]], dtype=dtype), 3).tolist() == [1, 0, 1]
    assert count_codes(torch.zeros(0, dtype=dtype), 3).tolist() == [0, 0, 0]


@pytest.mark.parametrize("ids", [torch.tensor([-1, 2]), torch.tensor([0, 3]), torch.tensor([0.0])])
def test_what_is_no_code_is_refused(ids: torch.Tensor) -> None:
    with pytest.raises(InputError, match="codes: expected"):
        count_codes(ids, 3)


def test_no_codes_have_no_perplexity() -> None:
    with pytest.raises(InputError, match="codes that occur"):
        perplexity(np.zeros(4, dtype=np.int64))


TABLE = {8192: 0.0508, 16384: 0.0547, 64000: 0.0624, 131072: 0.0664, 262144: 0.0703}


@pytest.mark.parametrize("codes", TABLE)
def test_bits_per_pixel_are_those_of_table_1(codes: int) -> None:
    """InsightTok, Table 1: 1,024 tokens for 512 x 512 pixels."""
    assert bits_per_pixel(1024, codes, 512 * 512) == pytest.approx(TABLE[codes], abs=5e-5)
