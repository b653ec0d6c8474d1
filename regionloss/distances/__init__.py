"""Distances: features x features -> (R,)."""

from regionloss.distances.base import Distance
from regionloss.distances.normalised_l2 import NormalisedL2
from regionloss.distances.squared_l2 import SquaredL2

__all__ = [
    "Distance",
    "NormalisedL2",
    "SquaredL2",
]
