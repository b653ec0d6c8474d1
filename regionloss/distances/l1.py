"""Absolute difference of features: outliers count less than in squares."""

from __future__ import annotations

import torch
from torch import Tensor

from regionloss.distances.base import Features, over_positions, source, unit
from regionloss.tensors import full_precision


class L1:
    """`1/L sum_l 1/(H_l W_l) |F_l(r) - F_l(r')|`: summed over channels, averaged over positions and levels.

    Args:
        of: What is compared: `"levels"`, `"embedding"` or `"logits"`.
        normalised: Whether every channel vector is scaled to length one before.
        eps: Added inside the root of that length, so that a zero vector has a finite gradient.

    Example:
        >>> import torch
        >>> L1()((torch.ones(1, 8, 2, 2),), (torch.zeros(1, 8, 2, 2),))
        tensor([8.])
    """

    def __init__(self, of: str = "levels", normalised: bool = False, eps: float = 1e-10) -> None:
        self.of, self.normalised, self.eps = source(of, "l1"), normalised, eps

    def __call__(self, features: Features, target_features: Features) -> Tensor:
        """Return (R,) distances of levels (R, C, ...)."""
        pairs = zip(features, target_features, strict=True)
        return torch.stack([over_positions((self.read(f) - self.read(t)).abs().sum(1)) for f, t in pairs]).mean(0)

    def read(self, level: Tensor) -> Tensor:
        """Return a level as it is compared."""
        return unit(level, self.eps) if self.normalised else full_precision(level)
