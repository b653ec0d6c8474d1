"""ONNX's convolutions and poolings: those whose edges torch does not pad by itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from regionloss.errors import InputError, expected

CONV: dict[int, Any] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED: dict[int, Any] = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
MAX: dict[int, Any] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVERAGE: dict[int, Any] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def convolve(call: Any, xs: Sequence[Tensor]) -> Tensor:
    """Return a convolution of an image with a kernel."""
    image, kernel, *rest = xs
    bias = rest[0] if rest else None
    sides = kernel.shape[2:]
    strides, dilations = (call.get(name, [1] * len(sides)) for name in ("strides", "dilations"))
    pads, group = padding(call, image, sides), call.get("group", 1)
    if pads[: len(sides)] == pads[len(sides) :]:
        found: Tensor = CONV[len(sides)](image, kernel, bias, strides, pads[: len(sides)], dilations, group)
        return found
    padded: Tensor = CONV[len(sides)](F.pad(image, around(pads)), kernel, bias, strides, 0, dilations, group)
    return padded


def convolve_transposed(call: Any, xs: Sequence[Tensor]) -> Tensor:
    """Return a transposed convolution.

    Raises:
        InputError: With padding of which torch knows no equal.
    """
    image, kernel, *rest = xs
    count = kernel.dim() - 2
    strides, dilations = (call.get(name, [1] * count) for name in ("strides", "dilations"))
    pads, more = call.get("pads", [0] * 2 * count), call.get("output_padding", [0] * count)
    if call.get("output_shape") or call.get("auto_pad", "NOTSET") != "NOTSET" or pads[:count] != pads[count:]:
        raise InputError(expected("ONNX operator ConvTranspose", "the same padding on both sides", str(pads)))
    bias, group = rest[0] if rest else None, call.get("group", 1)
    found: Tensor = TRANSPOSED[count](image, kernel, bias, strides, pads[:count], more, group, dilations)
    return found


def max_pool(call: Any, xs: Sequence[Tensor]) -> Tensor:
    """Return the largest value of each window."""
    kernel = call.get("kernel_shape")
    strides, dilations = (call.get(name, [1] * len(kernel)) for name in ("strides", "dilations"))
    pads, ceil = padding(call, xs[0], kernel), bool(call.get("ceil_mode", 0))
    image = F.pad(xs[0], around(pads), value=-math.inf) if any(pads) else xs[0]
    found: Tensor = MAX[len(kernel)](image, kernel, strides, 0, dilations, ceil)
    return found


def average_pool(call: Any, xs: Sequence[Tensor]) -> Tensor:
    """Return the mean of each window, of what lies in the image unless `count_include_pad`."""
    kernel, (image,) = call.get("kernel_shape"), xs
    strides, pads = call.get("strides", [1] * len(kernel)), padding(call, image, kernel)
    average, ceil = AVERAGE[len(kernel)], bool(call.get("ceil_mode", 0))
    if not any(pads):
        plain: Tensor = average(image, kernel, strides, 0, ceil)
        return plain
    found: Tensor = average(F.pad(image, around(pads)), kernel, strides, 0, ceil)
    if call.get("count_include_pad", 0):
        return found
    share: Tensor = average(F.pad(torch.ones_like(image[:1, :1]), around(pads)), kernel, strides, 0, ceil)
    return found / share


def padding(call: Any, image: Tensor, kernel: Sequence[int]) -> list[int]:
    """Return the padding in front of each side, then behind each."""
    mode = call.get("auto_pad", "NOTSET")
    if mode in ("NOTSET", "VALID"):
        return list(call.get("pads", [0] * 2 * len(kernel))) if mode == "NOTSET" else [0] * 2 * len(kernel)
    strides, dilations = (call.get(name, [1] * len(kernel)) for name in ("strides", "dilations"))
    front, behind = [], []
    for side, width, stride, dilation in zip(image.shape[2:], kernel, strides, dilations, strict=True):
        whole = max((math.ceil(side / stride) - 1) * stride + (width - 1) * dilation + 1 - side, 0)
        less, more = whole // 2, whole - whole // 2
        front.append(less if mode == "SAME_UPPER" else more)
        behind.append(more if mode == "SAME_UPPER" else less)
    return front + behind


def around(pads: Sequence[int]) -> list[int]:
    """Return padding as torch takes it: the last side first, in front and behind."""
    count = len(pads) // 2
    return [one for side in reversed(range(count)) for one in (pads[side], pads[count + side])]
