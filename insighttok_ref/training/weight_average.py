"""A moving average of the weights: often a better tokenizer than the weights themselves."""

from __future__ import annotations

import copy

import torch

from insighttok_ref.tokenizers.base import Trainee
from insighttok_ref.training.compat import lerp_each


class WeightAverage:
    """average <- d average + (1 - d) weights after each step; codes and counts are copied as they are.

    d is the decay, but at most (1 + step) / (10 + step): what a run began with is forgotten, however few its steps.

    Args:
        model: The model that learns; the average begins as it is.
        decay: Decay of the moving average, in [0, 1).
    """

    def __init__(self, model: Trainee, decay: float) -> None:
        self.decay = decay
        self.model = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: Trainee, step: int) -> None:
        """Follow the model's weights, once a step; steps of the run are counted from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        lerp_each(list(self.model.parameters()), list(model.parameters()), 1 - decay)
        for mine, its in zip(self.model.buffers(), model.buffers(), strict=True):
            mine.copy_(its)
