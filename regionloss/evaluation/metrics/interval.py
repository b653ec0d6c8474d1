"""How sure a mean is: bootstrap over images, or over the pictures that they were cut from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from regionloss.errors import InputError, expected

#: Numbers that are drawn at a time.
PICKS = 1 << 22


@dataclass(frozen=True)
class Interval:
    """A mean with a range that holds it in 95 of 100 repetitions, by bootstrap.

    Args:
        mean: Mean of the values.
        low: 2.5th percentile of resampled means; -infinity where all values are of one group, which says nothing of
            another.
        high: 97.5th percentile of resampled means; infinity where all values are of one group.
    """

    mean: float
    low: float
    high: float


def bootstrap(values: Sequence[float], groups: Sequence[int] | None = None, draws: int = 2000) -> Interval:
    """Return the mean of values with its 95% bootstrap interval.

    For a paired comparison give the differences. Words of one image, and crops of one picture, fail together, so
    whole groups are drawn.

    Args:
        values: The N numbers whose mean is estimated.
        groups: The group (image, picture) of each; None draws the values one by one.
        draws: Resamples; their randomness is fixed.

    Raises:
        InputError: No values.
    """
    if not values:
        raise InputError(expected("bootstrap", "one value at least", "none"))
    owners = np.arange(len(values)) if groups is None else np.asarray(groups)
    low, high = resampled(np.asarray(values, dtype=np.float64), owners, draws=draws)
    return Interval(sum(values) / len(values), low, high)


def resampled(
    values: np.ndarray, owners: np.ndarray, parts: np.ndarray | None = None, draws: int = 2000
) -> tuple[float, float]:
    """Return the range that holds the mean, or the mean of the means of parts, in 95 of 100 repetitions.

    Args:
        values: The N numbers.
        owners: The image, or the picture that it was cut from, of each, (N,) integers; whole ones are drawn. Of one
            alone the range has no ends: it says nothing of another.
        parts: The part of each, (N,) integers from 0, for the mean of the parts' means; None is the mean of all.
        draws: Resamples; their randomness is fixed.
    """
    _, owner = np.unique(owners, return_inverse=True)
    if not owner.any():
        return -math.inf, math.inf
    part = np.zeros(len(values), dtype=np.int64) if parts is None else parts
    sums = np.zeros((owner.max() + 1, int(part.max()) + 1, 2))
    np.add.at(sums, (owner, part), np.stack([values, np.ones(len(values))], 1))
    pairs = torch.from_numpy(sums)
    generator = torch.Generator().manual_seed(0)
    block, means = max(1, PICKS // len(pairs)), []
    for begin in range(0, draws, block):
        size = (min(block, draws - begin), len(pairs))
        drawn = pairs[torch.randint(len(pairs), size, generator=generator)].sum(1)
        means.append((drawn[..., 0] / drawn[..., 1]).nanmean(1))
    edges = torch.tensor([0.025, 0.975], dtype=torch.float64)
    low, high = torch.cat(means).nanquantile(edges).tolist()
    return low, high
