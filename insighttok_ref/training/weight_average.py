"""A moving average of the weights: often a better tokenizer than the weights themselves."""

from __future__ import annotations

import copy

import torch

from insighttok_ref.tokenizers.base import Trainee
from insighttok_ref.training.compat import lerp_each


class WeightAverage:
    """average <- decay average + (1 - decay) weights after each step; codes and counts are copied as they are.

    Args:
        model: The model that learns; the average begins as it is.
        decay: Decay of the moving average, in [0, 1).
    """

    def __init__(self, model: Trainee, decay: float) -> None:
        self.decay = decay
        self.model = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: Trainee) -> None:
        """Follow the model's weights, once a step."""
        lerp_each(list(self.model.parameters()), list(model.parameters()), 1 - self.decay)
        for mine, its in zip(self.model.buffers(), model.buffers(), strict=True):
            mine.copy_(its)
