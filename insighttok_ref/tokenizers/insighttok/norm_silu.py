"""Group norm and SiLU as one step, so that half precision stays half and nothing between the two is kept."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
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
    # A compiler fuses the two in any memory format, and keeps what is least.
    if torch.compiler.is_compiling() or not fused_on(x.device.type):
        return F.silu(norm(x.float())).to(x.dtype)
    made: Tensor = NormSiLU.apply(x, norm.weight, norm.bias, norm.num_groups, norm.eps)
    return made


@cache
def fused_on(device: str) -> bool:
    """Whether a type of device has the one step: GPUs have it with Triton, which torch brings on Linux."""
    return device in ("cpu", "meta") or (device == "cuda" and find_spec("triton") is not None)


class NormSiLU(torch.autograd.Function):
    """`silu(group_norm(x))` that keeps its input alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> Tensor:
        """Return activations (B, C, h, w) like `x`."""
        x = laid_out(x, x)
        if x.is_cuda:
            from insighttok_ref.tokenizers.insighttok import norm_silu_kernels

            made, mean, scale = norm_silu_kernels.forward(x, weight, bias, groups, eps)
        else:
            normed, mean, scale = normalized(x, weight, bias, groups, eps)
            made = F.silu(normed)
        ctx.save_for_backward(x, weight, bias, mean, scale)
        ctx.groups, ctx.eps = groups, eps
        return made

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of `x`, `weight` and `bias`."""
        x, weight, bias, mean, scale = ctx.saved_tensors
        gradient = laid_out(gradients[0], x)
        if x.is_cuda:
            from insighttok_ref.tokenizers.insighttok import norm_silu_kernels

            own = norm_silu_kernels.backward(gradient, x, weight, bias, mean, scale)
        else:
            normed = normalized(x, weight, bias, ctx.groups, ctx.eps)[0]
            before = laid_out(torch.ops.aten.silu_backward(gradient, normed), x)
            own = torch.ops.aten.native_group_norm_backward(
                before, x, mean, scale, weight, *sizes(x), ctx.groups, [True, True, True]
            )
        return own[0], own[1].to(weight.dtype), own[2].to(bias.dtype), None, None


def normalized(x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the group norm of `x`, and mean and inverse deviation (B, groups), float32 on a CPU."""
    found: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.native_group_norm(x, weight, bias, *sizes(x), groups, eps)
    return found


def sizes(x: Tensor) -> tuple[int, int, int]:
    """Return the numbers of images, channels and positions."""
    return x.shape[0], x.shape[1], x.shape[2] * x.shape[3]


def laid_out(values: Tensor, x: Tensor) -> Tensor:
    """Return values in the memory format that the device's kernel takes: channels may come last on CPUs alone."""
    last = x.device.type == "cpu" and x.is_contiguous(memory_format=torch.channels_last)
    return values.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
