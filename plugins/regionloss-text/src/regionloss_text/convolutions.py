"""A chain of convolutions read from a weight file, its batch norms folded in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from regionloss.errors import WeightsError, expected

NORM_EPS = 1e-5


@dataclass(frozen=True)
class Pool:
    """A max pooling: kernel, stride and padding, rows first."""

    kernel: tuple[int, int] = (2, 2)
    stride: tuple[int, int] = (2, 2)
    padding: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Conv:
    """One convolution of a chain.

    Args:
        name: Name of the layer in the weight file.
        norm: Name of the batch norm behind it; empty for none.
        pool: Max pooling in front of it.
        padding: Number of zeros around the input.
        dilation: Spacing of the kernel's points, in pixels.
        relu: Whether negative outputs become zero.
    """

    name: str
    norm: str = ""
    pool: Pool | None = None
    padding: int = 1
    dilation: int = 1
    relu: bool = True


class ConvChain(nn.Module):
    """Convolutions one after the other; returns the output of each, after its ReLU.

    A frozen batch norm is a scale and a shift per channel, so it is folded into the convolution in front of it when
    the weights are read: fewer operations, the same numbers up to rounding.

    Args:
        convs: The chain. Channels and kernel sizes are those of the tensors.
        tensors: Tensors by name.
    """

    def __init__(self, convs: Sequence[Conv], tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.convs = tuple(convs)
        self.layers = nn.ModuleList([read_conv(conv, tensors) for conv in convs])

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the outputs of all convolutions for images (N, C, H, W)."""
        outputs: list[Tensor] = []
        for conv, layer in zip(self.convs, self.layers, strict=True):
            if conv.pool is not None:
                images = F.max_pool2d(images, conv.pool.kernel, conv.pool.stride, conv.pool.padding)
            images = layer(images)
            images = F.relu(images) if conv.relu else images
            outputs.append(images)
        return outputs


def unrolled(lstm: nn.LSTM, states: Tensor) -> Tensor:
    """Return an LSTM's outputs, differentiable in evaluation mode too, which cuDNN's are not."""
    with torch.backends.cudnn.flags(enabled=False):
        outputs: Tensor = lstm(states)[0]
    return outputs


def read_conv(conv: Conv, tensors: Mapping[str, Tensor]) -> nn.Conv2d:
    """Return a convolution with its batch norm folded in.

    Raises:
        WeightsError: A tensor is missing.
    """
    weight = tensor(tensors, f"{conv.name}.weight")
    bias = tensors.get(f"{conv.name}.bias")
    if conv.norm:
        parts = ("running_mean", "running_var", "weight", "bias")
        mean, variance, gain, shift = (tensor(tensors, f"{conv.norm}.{part}") for part in parts)
        weight, bias = fuse_conv_bn_weights(weight, bias, mean, variance, NORM_EPS, gain, shift)
    outputs, inputs, *kernel = weight.shape
    layer = nn.Conv2d(
        inputs, outputs, (kernel[0], kernel[1]), padding=conv.padding, dilation=conv.dilation, bias=bias is not None
    )
    layer.load_state_dict({"weight": weight} if bias is None else {"weight": weight, "bias": bias})
    return layer


def tensor(tensors: Mapping[str, Tensor], name: str) -> Tensor:
    """Return a tensor of a weight file; raise WeightsError where the file has none of that name."""
    if name not in tensors:
        known = ", ".join(list(tensors)[:3])
        raise WeightsError(expected("weight file", f"a tensor '{name}'", f"{known}, ...", "Is it the right file?"))
    return tensors[name]
