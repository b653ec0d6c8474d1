"""Logits of conditional and unconditional rows -> the probabilities that ids are drawn from."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def guided(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Return `u + scale (c - u)`: at 1 the caption's own, above it what follows the caption more closely.

    Of logits; or of what a linear layer makes logits of, which is the same, and half the work.
    """
    return unconditional + scale * (conditional - unconditional)


def probabilities(logits: Tensor, temperature: float = 1.0, top_k: int | None = None) -> Tensor:
    """Return probabilities in float32.

    Args:
        logits: Logits (..., K) of the codes.
        temperature: Divides the logits; at 0 the largest has all the mass.
        top_k: How many of the largest keep theirs; None for all.
    """
    logits = logits.float()
    if temperature == 0:
        return F.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits)
    if top_k is not None and top_k < logits.shape[-1]:
        logits = largest(logits, top_k)
    return (logits / temperature).softmax(-1)


def largest(logits: Tensor, k: int) -> Tensor:
    """Return logits (..., K) in float32 of which the k largest are left, the others minus infinity."""
    if logits.device.type == "cpu" and not logits.requires_grad:
        # NumPy finds the k-th in a ninth of the time that torch takes on a CPU.
        least = torch.from_numpy(np.partition(logits.numpy(), -k, axis=-1)[..., -k, None])
        left_out = logits < least
        if bool((left_out.sum(-1) == logits.shape[-1] - k).all()):
            return logits.masked_fill(left_out, -torch.inf)
    # By place, not by value: of equal logits no more than k are kept.
    kept = logits.topk(k, dim=-1, sorted=False)
    return torch.full_like(logits, -torch.inf).scatter(-1, kept.indices, kept.values)
