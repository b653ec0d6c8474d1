"""LeCAM: a discriminator that is regularised by moving averages of its own logits."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regionloss.runs import rank_and_size, sum_over_ranks


class LeCAM(nn.Module):
    """relu(r - F)^2 + relu(R - f)^2: r, f are mean logits of real and fake images, R, F the moving averages of those.

    The loss is computed with the averages as they were before the step. `update` then moves them, once a step:
    R <- decay R + (1 - decay) r, F likewise, with means over all micro-batches and ranks.

    Args:
        decay: Decay of the moving averages, in [0, 1).

    Source: Tseng et al. (2021), on mean logits as MaskBit and 1d-tokenizer have it (`modeling/modules/losses.py` of
        either: the averages begin at 0, are used, then updated; there each rank follows its own logits).
    """

    real: Tensor
    fake: Tensor

    def __init__(self, decay: float = 0.999) -> None:
        super().__init__()
        self.decay = decay
        self._seen: list[Tensor] = []
        self.register_buffer("real", torch.zeros(()))
        self.register_buffer("fake", torch.zeros(()))

    def forward(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return the regularisation, 0-d, of mean logits (0-d), which are remembered in training."""
        if self.training:
            self._seen.append(torch.stack([real.detach(), fake.detach()]))
        return F.relu(real - self.fake).square() + F.relu(self.real - fake).square()

    @torch.no_grad()
    def update(self) -> None:
        """Move the averages by what was seen since the last update; every rank calls it, once a step."""
        means = sum_over_ranks(torch.stack(self._seen).mean(0).to(self.real.dtype)) / rank_and_size()[1]
        self._seen.clear()
        self.real = torch.lerp(means[0], self.real, self.decay)
        self.fake = torch.lerp(means[1], self.fake, self.decay)
