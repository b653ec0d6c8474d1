"""Distances: features x features -> one number a region."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

Features = tuple[Tensor, ...]


@runtime_checkable
class Distance(Protocol):
    """Compares the features of reconstruction and target, region by region. Lower is nearer; 0 for equal ones."""

    def __call__(self, features: Features, target_features: Features) -> Tensor:
        """Return (R,) distances, float32 or float64."""
        ...


def over_positions(values: Tensor) -> Tensor:
    """Return (R,) means over whatever positions (R, ...) has; a vector level has one."""
    return values.flatten(1).mean(1) if values.ndim > 1 else values
