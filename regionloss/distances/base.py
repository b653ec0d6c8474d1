"""Distances: features x features -> one number a region."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from regionloss.errors import InputError, expected
from regionloss.tensors import full_precision

Features = tuple[Tensor, ...]
LEVELS = "levels"
#: What of a crop can be compared: its feature maps, the one vector that describes it, the scores of what it reads.
SOURCES = (LEVELS, "embedding", "logits")


@runtime_checkable
class Distance(Protocol):
    """Compares the features of reconstruction and target, region by region. Lower is nearer; 0 for equal ones.

    An attribute `of` says what it compares: `"levels"` (where there is none), `"embedding"` or `"logits"`, each a tuple
    of tensors (R, C, ...). One with an attribute `labelled` that is true is called with labels as well, as `CTC` is.
    """

    def __call__(self, features: Features, target_features: Features) -> Tensor:
        """Return (R,) distances, float32 or float64."""
        ...


def source_of(distance: Distance) -> str:
    """Return what of a crop a distance compares."""
    return str(getattr(distance, "of", LEVELS))


def source(of: str, where: str) -> str:
    """Return the option that says what a distance compares; raise InputError for another word."""
    if of not in SOURCES:
        raise InputError(expected(f"{where}.of", "'levels', 'embedding' or 'logits'", repr(of)))
    return of


def over_positions(values: Tensor) -> Tensor:
    """Return (R,) means over whatever positions (R, ...) has; a vector level has one."""
    return values.flatten(1).mean(1) if values.ndim > 1 else values


def unit(level: Tensor, eps: float) -> Tensor:
    """Return a level (R, C, ...) with every channel vector scaled to length one."""
    level = full_precision(level)
    return level / (level.square().sum(1, keepdim=True) + eps).sqrt()
