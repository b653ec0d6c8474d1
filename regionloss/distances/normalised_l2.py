"""Squared distance of features that were scaled to unit length, LPIPS-style."""

from __future__ import annotations

import torch
from torch import Tensor

from regionloss.distances.base import Features, over_positions, unit
from regionloss.errors import InputError, expected


class NormalisedL2:
    """Squared distance between unit feature vectors, summed over channels and averaged over positions.

    Args:
        eps: Added inside the root, so that a zero vector has a finite gradient.
        levels: `"mean"` averages the levels, `"sum"` adds them (OCR-VQGAN).

    Source: LPIPS without learned weights (Zhang et al. 2018, eq. 1); OCR-VQGAN (Rodriguez et al. 2023).
    """

    def __init__(self, eps: float = 1e-10, levels: str = "mean") -> None:
        if levels not in ("mean", "sum"):
            raise InputError(expected("normalised-l2.levels", "'mean' or 'sum'", repr(levels)))
        self.eps, self.over_levels = eps, levels

    def __call__(self, features: Features, target_features: Features) -> Tensor:
        """Return (R,) distances of levels (R, C, ...)."""
        pairs = zip(features, target_features, strict=True)
        levels = torch.stack(
            [over_positions((unit(f, self.eps) - unit(t, self.eps)).square().sum(1)) for f, t in pairs]
        )
        return levels.mean(0) if self.over_levels == "mean" else levels.sum(0)
