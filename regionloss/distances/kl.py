"""What a reader believes of the target, and of its reconstruction: the divergence of its probabilities."""

from __future__ import annotations

import torch
from torch import Tensor

from regionloss.distances.base import Features, over_positions, source
from regionloss.tensors import full_precision


class KL:
    """`KL(p || p')` of a reader's probabilities for the target (p) and its reconstruction (p'), mean over positions.

    Args:
        of: What the probabilities are made of, by a softmax over channels: `"logits"`, or `"embedding"` or `"levels"`.

    Source: Kullback and Leibler (1951); as a loss of recognisers, knowledge distillation (Hinton et al. 2015).

    Example:
        >>> import torch
        >>> KL()((torch.zeros(1, 4, 7),), (torch.zeros(1, 4, 7),))
        tensor([0.])
    """

    def __init__(self, of: str = "logits") -> None:
        self.of = source(of, "kl")

    def __call__(self, features: Features, target_features: Features) -> Tensor:
        """Return (R,) distances of logits (R, classes, ...)."""
        divergences = []
        for f, t in zip(features, target_features, strict=True):
            ours, theirs = full_precision(f).log_softmax(1), full_precision(t).log_softmax(1)
            divergences.append(over_positions((theirs.exp() * (theirs - ours)).sum(1)))
        return torch.stack(divergences).mean(0)
