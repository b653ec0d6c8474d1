"""Group norm and SiLU on a GPU: one kernel each way; whatever the precision of what comes in, all within is float32.

A program has one group of one image: its values lie in a row, `size` = `channels` x `positions` of them.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

#: Most values that a program has in work at once.
BLOCK = 4096
#: Values for a warp: 16 for each of its threads.
WORK = 16 * 32


@triton.jit  # type: ignore[untyped-decorator]
def forward_kernel(  # type: ignore[no-untyped-def]  # types are the compiler's
    x, weight, bias, made, mean, scale, groups, channels, positions, eps, block: tl.constexpr
):
    """Write `silu(norm(x))`, and mean and inverse deviation of the group."""
    row = tl.program_id(0)
    size = channels * positions
    x += row.to(tl.int64) * size
    made += row.to(tl.int64) * size
    first = row % groups * channels
    # Sums of what is left of a value of the group: those of a large mean would hide the deviation.
    origin = tl.load(x).to(tl.float32)
    total = tl.zeros([block], tl.float32)
    squares = tl.zeros([block], tl.float32)
    for start in range(0, size, block):
        at = start + tl.arange(0, block)
        inside = at < size
        left = tl.where(inside, tl.load(x + at, inside, 0.0).to(tl.float32) - origin, 0.0)
        total += left
        squares += left * left
    shift = tl.sum(total, 0) / size
    r = 1.0 / tl.sqrt(tl.maximum(tl.sum(squares, 0) / size - shift * shift, 0.0) + eps)
    m = origin + shift
    tl.store(mean + row, m)
    tl.store(scale + row, r)
    for channel in range(0, channels):
        w = tl.load(weight + first + channel).to(tl.float32)
        b = tl.load(bias + first + channel).to(tl.float32)
        for start in range(0, positions, block):
            place = start + tl.arange(0, block)
            inside = place < positions
            at = channel * positions + place
            normed = (tl.load(x + at, inside, 0.0).to(tl.float32) - m) * r * w + b
            tl.store(made + at, normed * tl.sigmoid(normed), inside)


@triton.jit
def at_norm(gradient, x, at, inside, m, r, w, b):  # type: ignore[no-untyped-def]
    """Return values without mean and deviation, and the gradient behind the norm."""
    whitened = (tl.load(x + at, inside, 0.0).to(tl.float32) - m) * r
    normed = whitened * w + b
    gate = tl.sigmoid(normed)
    return whitened, tl.load(gradient + at, inside, 0.0).to(tl.float32) * gate * (1.0 + normed * (1.0 - gate))


@triton.jit  # type: ignore[untyped-decorator]
def backward_kernel(  # type: ignore[no-untyped-def]
    gradient, x, weight, bias, mean, scale, own, of_weight, of_bias, groups, channels, positions, block: tl.constexpr
):
    """Write the gradient of `x`, and for each channel of each image those of `weight` and `bias`."""
    row = tl.program_id(0)
    size = channels * positions
    x += row.to(tl.int64) * size
    gradient += row.to(tl.int64) * size
    own += row.to(tl.int64) * size
    first = row % groups * channels
    m = tl.load(mean + row)
    r = tl.load(scale + row)
    along = 0.0  # means over the group: of the gradient behind the norm times the whitened values, and alone
    level = 0.0
    for channel in range(0, channels):
        w = tl.load(weight + first + channel).to(tl.float32)
        b = tl.load(bias + first + channel).to(tl.float32)
        products = tl.zeros([block], tl.float32)
        sums = tl.zeros([block], tl.float32)
        for start in range(0, positions, block):
            place = start + tl.arange(0, block)
            inside = place < positions
            whitened, slope = at_norm(gradient, x, channel * positions + place, inside, m, r, w, b)
            products += slope * whitened
            sums += slope
        product = tl.sum(products, 0)
        summed = tl.sum(sums, 0)
        tl.store(of_weight + row * channels + channel, product)
        tl.store(of_bias + row * channels + channel, summed)
        along += w * product / size
        level += w * summed / size
    for channel in range(0, channels):
        w = tl.load(weight + first + channel).to(tl.float32)
        b = tl.load(bias + first + channel).to(tl.float32)
        for start in range(0, positions, block):
            place = start + tl.arange(0, block)
            inside = place < positions
            at = channel * positions + place
            whitened, slope = at_norm(gradient, x, at, inside, m, r, w, b)
            tl.store(own + at, r * (w * slope - level - whitened * along), inside)


def forward(x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return `silu(norm(x))` of contiguous (B, C, h, w), and mean and inverse deviation (B, groups), float32."""
    made = torch.empty_like(x)
    mean, scale = (x.new_empty((len(x), groups), dtype=torch.float32) for _ in range(2))
    channels, positions = x.shape[1] // groups, x.shape[2] * x.shape[3]
    with torch.cuda.device_of(x):
        forward_kernel[(mean.numel(),)](
            x, weight, bias, made, mean, scale, groups, channels, positions, eps, **compiled_for(positions)
        )
    return made, mean, scale


def backward(
    gradient: Tensor, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, scale: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of `x`, `weight` and `bias`, those of the latter float32, for a contiguous gradient."""
    own, groups = torch.empty_like(x), mean.shape[1]
    of_weight, of_bias = (x.new_empty(x.shape[:2], dtype=torch.float32) for _ in range(2))
    channels, positions = x.shape[1] // groups, x.shape[2] * x.shape[3]
    read, written = (gradient, x, weight, bias, mean, scale), (own, of_weight, of_bias)
    with torch.cuda.device_of(x):
        backward_kernel[(mean.numel(),)](*read, *written, groups, channels, positions, **compiled_for(positions))
    return own, of_weight.sum(0), of_bias.sum(0)


def compiled_for(positions: int) -> dict[str, Any]:
    """Return how a kernel is compiled for channels of so many positions."""
    block = min(BLOCK, triton.next_power_of_2(positions))
    # The last is said since Triton warns of its default.
    return {"block": block, "num_warps": max(1, block // WORK), "enable_fp_fusion": True}
