"""Measures in features of networks: likeness."""

from __future__ import annotations

import torch
from torch import Tensor


def cosine(first: Tensor, second: Tensor) -> Tensor:
    """Return the cosine similarity of rows (R, D), in [-1, 1]; F-SIM is its mean over faces."""
    return torch.nn.functional.cosine_similarity(first, second, dim=-1)
