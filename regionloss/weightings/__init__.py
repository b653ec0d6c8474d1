"""Weightings: Regions -> (R,)."""

from regionloss.weightings.area import AreaWeighting, UniformWeighting
from regionloss.weightings.base import Weighting

__all__ = [
    "AreaWeighting",
    "UniformWeighting",
    "Weighting",
]
