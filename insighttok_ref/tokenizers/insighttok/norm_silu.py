"""Group norm and SiLU as one step, so that half precision stays half and nothing between the two is kept."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HALF = (torch.bfloat16, torch.float16)


def norm_silu(x: Tensor, norm: nn.GroupNorm) -> Tensor:
    """Return `silu(norm(x))` of activations (B, C, h, w), in their precision.

    CUDA's autocast computes a group norm, and the SiLU behind it, in float32: of each activation the backward pass then
    keeps ten bytes. In half precision this keeps the four of what comes in and what goes out; statistics are float32,
    and what lies between is computed again. Float32 and float64 are left as they are.
    """
    if x.dtype not in HALF:
        return F.silu(norm(x))
    if torch.compiler.is_compiling():  # it fuses them in any memory format, and keeps what is least
        return F.silu(norm(x.float())).to(x.dtype)
    made: Tensor = NormSiLU.apply(x, norm.weight, norm.bias, norm.num_groups, norm.eps)
    return made


class NormSiLU(torch.autograd.Function):
    """`silu(group_norm(x))` that keeps its input alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> Tensor:
        """Return activations (B, C, h, w) like `x`."""
        x = laid_out(x, x)
        normed, mean, scale = normalized(x, weight, bias, groups, eps)
        ctx.save_for_backward(x, weight, bias, mean, scale)
        ctx.groups, ctx.eps = groups, eps
        return F.silu(normed)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of `x`, `weight` and `bias`."""
        x, weight, bias, mean, scale = ctx.saved_tensors
        normed = normalized(x, weight, bias, ctx.groups, ctx.eps)[0]
        before = torch.ops.aten.silu_backward(laid_out(gradients[0], x), normed)
        own = torch.ops.aten.native_group_norm_backward(
            laid_out(before, x), x, mean, scale, affine(weight, x), *sizes(x), ctx.groups, [True, True, True]
        )
        return own[0], own[1].to(weight.dtype), own[2].to(bias.dtype), None, None


def normalized(x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the group norm of `x`, and mean and inverse deviation (B, groups) of each group."""
    found: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.native_group_norm(
        x, affine(weight, x), affine(bias, x), *sizes(x), groups, eps
    )
    return found


def sizes(x: Tensor) -> tuple[int, int, int]:
    """Return the numbers of images, channels and positions."""
    return x.shape[0], x.shape[1], x.shape[2] * x.shape[3]


def affine(weights: Tensor, x: Tensor) -> Tensor:
    """Return weights in the precision that the device's kernel takes beside `x`: CPUs take float32."""
    return weights if x.device.type == "cpu" else weights.to(x.dtype)


def laid_out(values: Tensor, x: Tensor) -> Tensor:
    """Return values in the memory format that the device's kernel takes: channels may come last on CPUs alone."""
    last = x.device.type == "cpu" and x.is_contiguous(memory_format=torch.channels_last)
    return values.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
