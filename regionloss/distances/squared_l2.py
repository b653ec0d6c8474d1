"""Squared distance of features, the paper's own."""

from __future__ import annotations

import torch
from torch import Tensor

from regionloss.distances.base import Features, over_positions
from regionloss.tensors import full_precision


class SquaredL2:
    """`1/L sum_l 1/(H_l W_l) ||F_l(r) - F_l(r')||^2`: summed over channels, averaged over positions and levels.

    Source: InsightTok, eq. 4 and 9.

    Example:
        >>> import torch
        >>> SquaredL2()((torch.ones(1, 8, 2, 2),), (torch.zeros(1, 8, 2, 2),))
        tensor([8.])
    """

    def __call__(self, features: Features, target_features: Features) -> Tensor:
        """Return (R,) distances of levels (R, C, ...)."""
        pairs = zip(features, target_features, strict=True)
        return torch.stack(
            [over_positions((full_precision(f) - full_precision(t)).square().sum(1)) for f, t in pairs]
        ).mean(0)
