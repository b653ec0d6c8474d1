"""Distances: features x features -> (R,)."""

from regionloss.distances.base import Distance
from regionloss.distances.cosine import Cosine
from regionloss.distances.ctc import CTC
from regionloss.distances.gram import Gram
from regionloss.distances.kl import KL
from regionloss.distances.l1 import L1
from regionloss.distances.normalised_l2 import NormalisedL2
from regionloss.distances.squared_l2 import SquaredL2
from regionloss.distances.weighted_sum import WeightedSum

__all__ = [
    "CTC",
    "KL",
    "L1",
    "Cosine",
    "Distance",
    "Gram",
    "NormalisedL2",
    "SquaredL2",
    "WeightedSum",
]
