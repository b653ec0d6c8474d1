"""Weightings: Regions -> one weight a region."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from regionloss.regions.regions import Regions


@runtime_checkable
class Weighting(Protocol):
    """Says how much each region counts."""

    def __call__(self, regions: Regions) -> Tensor:
        """Return (R,) weights, not negative."""
        ...
