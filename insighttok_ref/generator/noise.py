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
    counter = torch.arange(1, size + 1, device=key.device)
    hashed = mixed(key[..., None] + counter * STEP)
    top = (hashed >> (64 - BITS)) & ((1 << BITS) - 1)
    return (top.double() + 0.5) * 2.0**-BITS


def exponentials(seeds: Tensor, positions: Tensor, turn: int, size: int, purpose: int = TOKEN) -> Tensor:
    """Return standard exponential numbers e (..., size): `argmax(p / e)` is a draw from p, as Gumbel's is."""
    return -torch.log1p(-uniforms(seeds, positions, purpose, turn, size)).float()


def mixed(keys: Tensor) -> Tensor:
    """Return keys of 64 bits in which each bit depends on all bits of those given (SplitMix64's last step)."""
    keys = keys + STEP
    keys = (keys ^ shifted(keys, 30)) * FIRST
    keys = (keys ^ shifted(keys, 27)) * SECOND
    return keys ^ shifted(keys, 31)


def shifted(keys: Tensor, bits: int) -> Tensor:
    """Return keys shifted to the right, as if they had no sign."""
    return (keys >> bits) & ((1 << (64 - bits)) - 1)
