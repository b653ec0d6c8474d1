"""Random numbers by seed and position."""

from __future__ import annotations

import torch

from insighttok_ref.generator.noise import ACCEPT, RESIDUAL, TOKEN, exponentials, mixed, uniforms


def test_keys_are_mixed_as_splitmix64_does() -> None:
    # First numbers of the published generator with seeds 0 and 1234567.
    found = mixed(torch.tensor([0, 1234567])).tolist()
    assert [number % 2**64 for number in found] == [0xE220A8397B1DCDAF, 6457827717110365317]


def test_numbers_are_uniform_and_know_nothing_of_one_another() -> None:
    seeds, places = torch.arange(40)[:, None], torch.arange(50)[None]
    sets = [uniforms(seeds, places, purpose, turn, 16) for purpose in (TOKEN, ACCEPT, RESIDUAL) for turn in (0, 1)]
    numbers = torch.stack(sets)  # (6, 40, 50, 16)
    assert 0 < numbers.min() < 1e-4
    assert 1 - 1e-4 < numbers.max() < 1
    cells = torch.histc(numbers, 64, 0, 1)
    mean = numbers.numel() / 64
    assert abs(float(((cells - mean) ** 2 / mean).sum()) - 63) < 4 * (2 * 63) ** 0.5
    for axis in range(4):
        lines = numbers.movedim(axis, 0).flatten(1) - 0.5
        products = (lines[:-1] * lines[1:]).mean() * 12
        assert abs(products) < 4 / lines[1:].numel() ** 0.5


def test_exponentials_draw_from_a_distribution() -> None:
    p = torch.tensor([0.5, 0.3, 0.2, 0.0])
    drawn = (p / exponentials(torch.arange(20_000), torch.tensor(3), 0, 4)).argmax(-1)
    shares = torch.bincount(drawn, minlength=4) / 20_000
    torch.testing.assert_close(shares, p, rtol=0, atol=0.015)
    assert shares[3] == 0
