"""dlib's face recognition ResNet, read from dlib's own file (CC0) and differentiable in the crops."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regionloss.backbones import FeatureBackbone, InputSpec
from regionloss_face.dlib_file import read_tensors
from regionloss_face.given_file import file_of

#: Width, number of blocks, and whether the first of them halves the resolution.
STAGES = ((32, 3, False), (64, 4, True), (128, 3, True), (256, 3, True), (256, 1, True))
EMBEDDING = 128
DLIB_INPUT = InputSpec((150, 150), (0.0, 255.0), "RGB", (122.782, 117.001, 104.298), (256.0, 256.0, 256.0))


class DlibResNet(FeatureBackbone):
    """Features of dlib's face recogniser, for crops of 150 x 150 aligned as dlib aligns them (`DLIB_TEMPLATE`).

    Levels: 0 is the stem (32 channels, 72 x 72), 1 to 5 are the stages (32 at 35 x 35, 64 at 17, 128 at 8, 256 at 4,
    256 at 2). The default leaves out the last one, so that the five levels are a stem and four stages as in the paper's
    face network.

    Args:
        weights: Name of the weights, or a path to dlib's `.dat`.
        out_indices: Numbers of the levels to compare, from 0.

    Raises:
        WeightsError: The weights are not here, or are not dlib's.

    Source: D. E. King, dlib, `dlib_face_recognition_resnet_model_v1`; He et al., Deep residual learning (29 layers).
    """

    def __init__(self, weights: str = "dlib-face-resnet", out_indices: Sequence[int] = (0, 1, 2, 3, 4)) -> None:
        super().__init__(load_dlib(weights), DLIB_INPUT, out_indices=out_indices, channels_last=True)

    def embedding(self, network: nn.Module, levels: Sequence[Tensor]) -> Tensor:
        """Return dlib's descriptors (R, 128), from the last of all levels."""
        assert isinstance(network, DlibNetwork)
        return network.describe(levels[-1])

    def embed(self, crops: Tensor) -> Tensor:
        """Return dlib's descriptors (R, 128) of crops (R, 3, 150, 150) in [-1, 1]; two of one person lie within 0.6."""
        network = self.network_for(crops)
        assert isinstance(network, DlibNetwork)
        return network.embed(self.input_spec(crops))


def load_dlib(weights: str) -> DlibNetwork:
    """Return the network with the weights of this name or path."""
    network = DlibNetwork()
    network.load(read_tensors(file_of(weights), network.sizes()))
    return network


class ScaledConv(nn.Conv2d):
    """A convolution with dlib's gain and bias per channel (`affine<con>`) folded into it: the network is frozen."""

    def __init__(self, channels: int, width: int, kernel: int, stride: int) -> None:
        super().__init__(channels, width, kernel, stride, padding=kernel // 2 if stride == 1 else 0)

    def load(self, scale: Tensor, kernels: Tensor) -> None:
        """Take the two tensors that dlib keeps: gains and biases; filters and their biases."""
        width = self.out_channels
        gain, bias = scale[:width], scale[width:]
        with torch.no_grad():
            self.weight.copy_(kernels[:-width].view_as(self.weight) * gain.view(-1, 1, 1, 1))
            self.get_parameter("bias").copy_(kernels[-width:] * gain + bias)


class Block(nn.Module):
    """A residual block; where it halves the resolution, the shorter of its branches is filled up with zeros."""

    def __init__(self, channels: int, width: int, halve: bool) -> None:
        super().__init__()
        self.halve = halve
        self.first = ScaledConv(channels, width, 3, 2 if halve else 1)
        self.second = ScaledConv(width, width, 3, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return features (R, width, h, w)."""
        branch = self.second(F.relu(self.first(images)))
        shortcut = F.avg_pool2d(images, 2, 2) if self.halve else images
        shape = [max(pair) for pair in zip(branch.shape[1:], shortcut.shape[1:], strict=True)]
        return F.relu(filled_up(branch, shape) + filled_up(shortcut, shape))


def filled_up(images: Tensor, shape: Sequence[int]) -> Tensor:
    """Return images (R, ...) with zeros behind, so that they are (R, *shape)."""
    if list(images.shape[1:]) == list(shape):
        return images
    channels, height, width = (wanted - got for wanted, got in zip(shape, images.shape[1:], strict=True))
    return F.pad(images, (0, width, 0, height, 0, channels))


class DlibNetwork(nn.Module):
    """29 convolutions; `forward` returns the stem and the five stages."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = ScaledConv(3, 32, 7, 2)
        self.stages = nn.ModuleList()
        channels = 32
        for width, count, halve in STAGES:
            blocks = [Block(channels if i == 0 else width, width, halve and i == 0) for i in range(count)]
            self.stages.append(nn.Sequential(*blocks))
            channels = width
        self.head = nn.Linear(channels, EMBEDDING, bias=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the six levels."""
        levels = [F.relu(self.stem(images))]
        features = F.max_pool2d(levels[0], 3, 2)
        for stage in self.stages:
            features = stage(features)
            levels.append(features)
        return levels

    def embed(self, images: Tensor) -> Tensor:
        """Return descriptors (R, 128), not normalised."""
        return self.describe(self(images)[-1])

    def describe(self, features: Tensor) -> Tensor:
        """Return the same of the last stage (R, 256, h, w)."""
        descriptors: Tensor = self.head(features.mean((2, 3)))
        return descriptors

    def layers(self) -> Iterator[ScaledConv]:
        """Yield the convolutions from the first to the last."""
        yield from (module for module in self.modules() if isinstance(module, ScaledConv))

    def sizes(self) -> list[int]:
        """Return how many values each tensor of dlib's file holds, in the file's order."""
        sizes = []
        for layer in self.layers():
            sizes += [layer.weight.numel() + layer.out_channels, 2 * layer.out_channels]
        return [*sizes, self.head.weight.numel()]

    def load(self, tensors: Sequence[Tensor]) -> None:
        """Take the tensors of dlib's file, in the file's order."""
        for layer, kernels, scale in zip(self.layers(), tensors[:-1:2], tensors[1:-1:2], strict=True):
            layer.load(scale, kernels)
        with torch.no_grad():
            self.head.weight.copy_(tensors[-1].view(-1, EMBEDDING).T)
