"""How sure a mean is: bootstrap over images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from regionloss.errors import InputError, expected


@dataclass(frozen=True)
class Interval:
    """A mean with a range that holds it in 95 of 100 repetitions, by bootstrap.

    Args:
        mean: Mean of the values.
        low: 2.5th percentile of resampled means.
        high: 97.5th percentile of resampled means.
    """

    mean: float
    low: float
    high: float


def bootstrap(values: Sequence[float], groups: Sequence[int] | None = None, draws: int = 2000) -> Interval:
    """Return the mean of values with its 95% bootstrap interval.

    For a paired comparison give the differences. Words of one image fail together, so whole groups are drawn.

    Args:
        values: The N numbers whose mean is estimated.
        groups: The group (image) of each; None draws the values one by one.
        draws: Resamples; their randomness is fixed.

    Raises:
        InputError: No values.
    """
    if not values:
        raise InputError(expected("bootstrap", "one value at least", "none"))
    sums: dict[int, list[float]] = {}
    for group, value in zip(range(len(values)) if groups is None else groups, values, strict=True):
        entry = sums.setdefault(group, [0.0, 0.0])
        entry[0] += value
        entry[1] += 1
    pairs = torch.tensor(list(sums.values()), dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    picks = torch.randint(len(pairs), (draws, len(pairs)), generator=generator)
    drawn = pairs[picks].sum(1)
    means = drawn[:, 0] / drawn[:, 1]
    low, high = torch.quantile(means, torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return Interval(sum(values) / len(values), low, high)
