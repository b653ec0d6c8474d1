"""Random numbers by name: what is drawn for a sample depends on the seed and its index, on nothing drawn before."""

from __future__ import annotations

import random


def stream(seed: int, *names: str | int) -> random.Random:
    """Return the generator of one thing, say `stream(0, "train", 17)`: the same in every process and on every machine.

    Args:
        seed: The run's seed.
        names: Names of what is drawn: its purpose, an index, ...
    """
    return random.Random("/".join(map(str, (seed, *names))))


def permutation(seed: int, *names: str | int, length: int) -> list[int]:
    """Return the numbers 0 .. length - 1 in the order of that stream."""
    order = list(range(length))
    stream(seed, *names).shuffle(order)
    return order
