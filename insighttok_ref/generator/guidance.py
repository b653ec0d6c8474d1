"""Logits of conditional and unconditional rows -> the probabilities that ids are drawn from."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def guided(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Return `u + scale (c - u)`: at 1 the caption's own logits, above it ones that follow it more closely."""
    return unconditional + scale * (conditional - unconditional)


def probabilities(logits: Tensor, temperature: float = 1.0, top_k: int | None = None) -> Tensor:
    """Return probabilities in float32.

    Args:
        logits: (..., K).
        temperature: Divides the logits; at 0 the largest has all the mass.
        top_k: How many of the largest keep theirs; None for all.
    """
    logits = logits.float()
    if temperature == 0:
        return F.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits)
    if top_k is not None and top_k < logits.shape[-1]:
        # By place, not by value: of equal logits no more than k are kept.
        kept = logits.topk(top_k, dim=-1, sorted=False)
        logits = torch.full_like(logits, -torch.inf).scatter(-1, kept.indices, kept.values)
    return (logits / temperature).softmax(-1)
