"""Finite scalar quantization against its definition, number by number."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from insighttok_ref.quantizers.fsq import FSQuantizer
from regionloss.errors import InputError
from regionloss.testing import contracts

LEVELS = (4, 3, 5)


def quantizer() -> FSQuantizer:
    return FSQuantizer(math.prod(LEVELS), len(LEVELS), levels=LEVELS)


class TestContract(contracts.QuantizerContract):
    def make(self) -> FSQuantizer:
        return quantizer()


def test_codes_are_the_grid_of_levels_and_ids_their_places() -> None:
    """A bijection: the id of every code is its number, the first channel changes fastest."""
    made = quantizer()
    grid = [
        [step[channel] / (levels // 2) for channel, levels in enumerate(LEVELS)]
        for step in (
            tuple(reversed(back))
            for back in itertools.product(*(range(-(levels // 2), levels - levels // 2) for levels in reversed(LEVELS)))
        )
    ]
    assert made.codebook.tolist() == [pytest.approx(code) for code in grid]
    ids = torch.arange(60).view(1, 60)
    assert torch.equal(made.lookup(ids, (6, 10))[0].flatten(1).t(), made.codebook)


def test_every_code_is_reached_and_the_nearest_level_is_taken() -> None:
    made, z = quantizer(), torch.linspace(-4, 4, 41).view(1, 1, 1, 41).expand(1, 3, 1, 41)
    z_q, loss, _ = made(z)
    assert loss == 0
    for channel, levels in enumerate(LEVELS):
        half, offset = (levels - 1) * 1.001 / 2, 0.5 if levels % 2 == 0 else 0.0
        for x, got in zip(z[0, channel, 0].tolist(), z_q[0, channel, 0].tolist(), strict=True):
            wanted = round(math.tanh(x + math.atanh(offset / half)) * half - offset) / (levels // 2)
            assert got == pytest.approx(wanted, abs=1e-6)
        assert len(set(z_q[0, channel, 0].tolist())) == levels


def test_the_gradient_is_that_of_the_bounded_latent() -> None:
    made, z = quantizer(), torch.randn(2, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(made(z)[0].sum(), z)
    for channel, levels in enumerate(LEVELS):
        half, offset = (levels - 1) * 1.001 / 2, 0.5 if levels % 2 == 0 else 0.0
        slope = (1 - (z[:, channel] + math.atanh(offset / half)).tanh() ** 2) * half / (levels // 2)
        torch.testing.assert_close(found[:, channel], slope, rtol=1e-6, atol=1e-8)


def test_levels_that_are_others_than_the_codes_are_refused() -> None:
    with pytest.raises(InputError, match=r"model\.codebook_size: expected 60, as the levels .* have it, got 64"):
        FSQuantizer(64, 3, levels=LEVELS)
    with pytest.raises(InputError, match=r"model\.code_dim: expected 3, .* got 8"):
        FSQuantizer(60, 8, levels=LEVELS)
    with pytest.raises(InputError, match=r"quantizer\.levels: expected numbers of at least 2, got \[1, 60\]"):
        FSQuantizer(60, 2, levels=(1, 60))
