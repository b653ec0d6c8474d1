"""Batch norm over the images of all ranks: two ranks are one with the joint micro-batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from regionloss.runs import rank_and_size, sum_over_ranks


class RankSum(torch.autograd.Function):
    """The sum of a tensor over all ranks; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        """Return the sum."""
        return sum_over_ranks(value.clone())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Return the sum of the ranks' gradients."""
        return sum_over_ranks(gradient.clone())


class JointBatchNorm(nn.BatchNorm2d):
    """Batch norm whose statistics in training are of the images of all ranks, of which each has as many.

    Torch's own `SyncBatchNorm` runs on GPUs alone. Arguments as for `BatchNorm2d`; in one process it is that.
    """

    @torch.compiler.disable  # type: ignore[untyped-decorator]  # of torch
    def forward(self, input: Tensor) -> Tensor:
        """Return normalised activations (B, C, H, W), in the precision of what is given."""
        ranks = rank_and_size()[1]
        if ranks == 1 or not self.training:
            alone: Tensor = super().forward(input)
            return alone
        wide = input if input.dtype == torch.float64 else input.float()
        mean = RankSum.apply(wide.mean((0, 2, 3))) / ranks
        centred = wide - mean[:, None, None]
        variance = RankSum.apply(centred.square().mean((0, 2, 3))) / ranks
        self._follow(mean, variance, ranks * wide.numel() // self.num_features)
        scale = self.weight * (variance + self.eps).rsqrt()
        normalised: Tensor = centred * scale[:, None, None] + self.bias[:, None, None]
        return normalised.to(input.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Move the running averages, as `BatchNorm2d` does."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
