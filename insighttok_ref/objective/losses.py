"""A total and what it is made of."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Losses(NamedTuple):
    """The weighted sum, 0-d, and its parts before their weights, 0-d and by name."""

    total: Tensor
    parts: dict[str, Tensor]
