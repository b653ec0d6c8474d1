"""One less the cosine: the usual distance of two faces' embeddings."""

from __future__ import annotations

import torch
from torch import Tensor

from regionloss.distances.base import Features, over_positions, source, unit


class Cosine:
    """`1 - cos(f, f')`, averaged over positions and levels: 0 for one direction, 1 for none in common.

    Computed as half the squared distance of unit vectors, which is the same, and exactly 0 for equal ones.

    Args:
        of: `"embedding"`, the vector by which a network tells people apart; or `"levels"` or `"logits"`.
        eps: Added inside the root, so that a zero vector has a finite gradient.

    Source: Deng et al., ArcFace (2019), as identity losses use it.

    Example:
        >>> import torch
        >>> Cosine()((torch.tensor([[3.0, 0.0]]),), (torch.tensor([[0.0, 2.0]]),))
        tensor([1.])
    """

    def __init__(self, of: str = "embedding", eps: float = 1e-10) -> None:
        self.of, self.eps = source(of, "cosine"), eps

    def __call__(self, features: Features, target_features: Features) -> Tensor:
        """Return (R,) distances of levels (R, C, ...)."""
        pairs = zip(features, target_features, strict=True)
        squares = [(unit(f, self.eps) - unit(t, self.eps)).square().sum(1) for f, t in pairs]
        return torch.stack([over_positions(square) / 2 for square in squares]).mean(0)
