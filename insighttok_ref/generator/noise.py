"""Random numbers that are a pure function of an image's seed and of what they are for."""

from __future__ import annotations

import torch
from torch import Tensor

#: What numbers of one seed and position are drawn for: none of them knows of another.
TOKEN, ACCEPT, RESIDUAL = range(3)
#: SplitMix64's increment and multipliers (Steele, Lea and Flood 2014), as signed numbers.
STEP, FIRST, SECOND = (n - 2**64 for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
BITS = 53


def uniforms(seeds: Tensor, positions: Tensor, purpose: int, turn: int, size: int) -> Tensor:
    """Return numbers (..., size) between 0 and 1, ends excluded, the same on every device and in every batch.

    Args:
        seeds: Seeds, integers of a shape that fits that of `positions`.
        positions: Positions in the image, integers.
        purpose: `TOKEN`, `ACCEPT` or `RESIDUAL`.
        turn: Number of the draw, where a position is drawn several times.
        size: How many numbers each position has.
    """
    key = mixed(seeds)
    for part in (positions, torch.as_tensor(purpose), torch.as_tensor(turn)):
        key = mixed(key + part.to(key.device))
    counter = torch.arange(1, size + 1, device=key.device) * STEP
    hashed = shifted_(mixed(key[..., None] + counter), 64 - BITS)
    return hashed.double().add_(0.5).mul_(2.0**-BITS)


def exponentials(seeds: Tensor, positions: Tensor, turn: int, size: int, purpose: int = TOKEN) -> Tensor:
    """Return standard exponential numbers e (..., size): `argmax(p / e)` is a draw from p, as Gumbel's is."""
    return uniforms(seeds, positions, purpose, turn, size).neg_().log1p_().float().neg_()


def mixed(keys: Tensor) -> Tensor:
    """Return keys of 64 bits in which each bit depends on all bits of those given (SplitMix64's last step)."""
    keys = keys + STEP
    keys.bitwise_xor_(shifted_(keys.clone(), 30)).mul_(FIRST)
    keys.bitwise_xor_(shifted_(keys.clone(), 27)).mul_(SECOND)
    return keys.bitwise_xor_(shifted_(keys.clone(), 31))


def shifted_(keys: Tensor, bits: int) -> Tensor:
    """Shift keys to the right in place, as if they had no sign."""
    return keys.bitwise_right_shift_(bits).bitwise_and_((1 << (64 - bits)) - 1)
