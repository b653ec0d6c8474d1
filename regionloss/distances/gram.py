"""Gram matrices: which features occur together, wherever they stand. Texture, not place."""

from __future__ import annotations

import torch
from torch import Tensor

from regionloss.distances.base import Features
from regionloss.tensors import full_precision


class Gram:
    """`1/L sum_l ||G(F_l(r)) - G(F_l(r'))||^2` with `G(F) = F F^T / (C H W)`, F as a matrix of channels by positions.

    Source: Gatys et al. (2016); normalised as by Johnson et al. (2016), eq. 3 and 4.

    Example:
        >>> import torch
        >>> Gram()((torch.ones(1, 2, 3, 3),), (torch.zeros(1, 2, 3, 3),))
        tensor([1.])
    """

    def __call__(self, features: Features, target_features: Features) -> Tensor:
        """Return (R,) distances of levels (R, C, ...)."""
        pairs = zip(features, target_features, strict=True)
        return torch.stack([(gram(f) - gram(t)).square().sum((1, 2)) for f, t in pairs]).mean(0)


def gram(level: Tensor) -> Tensor:
    """Return the matrices (R, C, C) of a level (R, C, ...)."""
    rows = full_precision(level)[..., None].flatten(2)
    return rows @ rows.mT / (rows.shape[1] * rows.shape[2])
