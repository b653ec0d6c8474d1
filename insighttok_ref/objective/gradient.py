"""How strongly a loss pulls: its gradient at a reconstruction, or at the weights of the decoder's last layer."""

from __future__ import annotations

import torch
from torch import Tensor


def gradients_at(value: Tensor, *places: Tensor) -> tuple[Tensor, ...]:
    """Return the gradient of a loss (0-d) at each place, zeros at one that it does not reach. The graph is kept."""
    if not value.requires_grad:
        return tuple(torch.zeros_like(place) for place in places)
    return torch.autograd.grad(value, places, retain_graph=True, materialize_grads=True)
