"""How strongly terms pull beside the loss that they are added to, and the weights at which both would be equal."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from regionloss.losses.terms import LossTerms
from regionloss.schedules import told


def equal_weights(rest: Tensor, by_term: Mapping[str, Tensor], reconstruction: Tensor) -> dict[str, float]:
    """Return by term the weight at which its gradient is as long as that of the rest of the loss.

    Infinite for a term without gradient, as one that met no region. Reads values back from the device: for first calls
    only. The graph is kept.

    Args:
        rest: The loss without the terms, 0-d.
        by_term: Values of terms before their weights, 0-d, as `LossOutput.by_term` has them.
        reconstruction: What both were computed from, (B, 3, H, W).

    Returns:
        Nothing where the reconstruction takes no gradient.
    """
    if not reconstruction.requires_grad:
        return {}
    norms = {name: norm_at(value, reconstruction) for name, value in by_term.items()}
    wanted = norm_at(rest, reconstruction)
    return {name: wanted / norm if norm else math.inf for name, norm in norms.items()}


def norm_at(value: Tensor, place: Tensor) -> float:
    """Return the L2 norm of a value's gradient at a tensor; 0 where it does not depend on it."""
    if not value.requires_grad:
        return 0.0
    (gradient,) = torch.autograd.grad(value, place, retain_graph=True, allow_unused=True)
    return 0.0 if gradient is None else float(gradient.norm())


def balance_lines(terms: LossTerms, equal: Mapping[str, float]) -> list[str]:
    """Return a sentence for each term that pulls: its weight, and the one of `equal_weights`."""
    return [
        f"term '{name}' has weight {told(terms[name].weight)}; equal gradients at {weight:.3g}"
        for name, weight in equal.items()
        if math.isfinite(weight)
    ]
