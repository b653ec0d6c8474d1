"""The networks of LPIPS: a trunk of five levels, and a weight for each channel of each level."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regionloss.errors import WeightsError
from regionloss.tensors import full_precision

# Of ImageNet, for images in [-1, 1].
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)

Levels = list[list[nn.Module]]


def alex() -> Levels:
    """Return torchvision's AlexNet."""
    return [
        [nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU()],
        [nn.MaxPool2d(3, 2), nn.Conv2d(64, 192, 5, padding=2), nn.ReLU()],
        [nn.MaxPool2d(3, 2), nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()],
        [nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()],
        [nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()],
    ]


def vgg() -> Levels:
    """Return torchvision's VGG16."""
    return vgg_levels(lambda width: [nn.MaxPool2d(2)])


def blurred_alex() -> Levels:
    """Return the shift-tolerant AlexNet: its first convolution has stride 1 and is blurred before its rectifier."""
    return [
        [nn.Conv2d(3, 64, 11, padding=2), Blur(64), nn.ReLU()],
        [nn.MaxPool2d(3, 1), Blur(64), nn.Conv2d(64, 192, 5, padding=2), nn.ReLU()],
        [nn.MaxPool2d(3, 1), Blur(192), nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()],
        [nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()],
        [nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()],
    ]


def blurred_vgg() -> Levels:
    """Return the shift-tolerant VGG16: pooling without stride, then a blur."""
    return vgg_levels(lambda width: [nn.MaxPool2d(2, 1), Blur(width)])


def vgg_levels(pool: Callable[[int], list[nn.Module]]) -> Levels:
    """Return VGG16's convolutions, with layers that halve the sides of so many channels."""
    levels: Levels = []
    width = 3
    for channels, convolutions in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        level = pool(width) if levels else []
        for _ in range(convolutions):
            level += [nn.Conv2d(width, channels, 3, padding=1), nn.ReLU()]
            width = channels
        levels.append(level)
    return levels


class Blur(nn.Module):
    """A binomial filter of 3 x 3 with stride 2, on two more reflected pixels on every side.

    Args:
        channels: Number of channels; each is filtered apart from the others.
    """

    filt: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        row = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.register_buffer("filt", torch.outer(row, row).expand(channels, 1, 3, 3).clone())

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, c, h, w) to half the sides."""
        padded = F.pad(x, (2, 2, 2, 2), mode="reflect")
        return F.conv2d(padded, self.filt.to(x.dtype), stride=2, groups=x.shape[1])


class LPIPSTrunk(nn.Module):
    """A trunk of five levels with a linear head for each.

    Args:
        levels: Layers of each level, from the first level to the last.
        weights: Weights of the layers, by the names that their file gives them; None where shapes alone matter.
        prefix: Start of a layer's name in `weights`, before its number among all layers; `{}` stands for the level's
            number from 1.
        heads: Weights of the heads, as the package `lpips` names them; None as for `weights`.
        wanted: What the weights should be, in words, for sentences.

    Raises:
        WeightsError: They are another network's.
    """

    shift: Tensor
    scale: Tensor

    def __init__(
        self,
        levels: Levels,
        weights: Mapping[str, Tensor] | None,
        prefix: str,
        heads: Mapping[str, Tensor] | None,
        wanted: str,
    ) -> None:
        super().__init__()
        self.slices = nn.ModuleList(nn.Sequential(*level) for level in levels)
        self.register_buffer("shift", torch.tensor(SHIFT).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(SCALE).view(1, 3, 1, 1))
        if weights is None or heads is None:
            for number, part in enumerate(self.slices):
                width = [one.out_channels for one in part.modules() if isinstance(one, nn.Conv2d)][-1]
                self.register_buffer(f"head{number}", torch.ones(width))
            return
        own, first = {}, 0
        try:
            for number, level in enumerate(levels):
                for layer, module in enumerate(level):
                    for name in module.state_dict():
                        given = f"{prefix.format(number + 1)}{first + layer}.{name}"
                        own[f"{number}.{layer}.{name}"] = weights[given]
                first += len(level)
                self.register_buffer(f"head{number}", heads[f"lin{number}.model.1.weight"].flatten())
            self.slices.load_state_dict(own)
        except (KeyError, RuntimeError) as error:
            reason = f"none named {error}" if isinstance(error, KeyError) else str(error).rstrip(".")
            raise WeightsError(f"LPIPS trunk: expected {wanted}, got {reason}.") from error

    def forward(self, images: Tensor) -> Sequence[Tensor]:
        """Return feature maps (B, C_l, H_l, W_l) of images (B, 3, H, W) in [-1, 1]."""
        features = (images - self.shift) / self.scale
        found = []
        for part in self.slices:
            features = part(features)
            found.append(features)
        return found

    def head_weights(self) -> Sequence[Tensor]:
        """Return non-negative weights (C_l,) of the channels of each level."""
        return [self.get_buffer(f"head{number}") for number in range(len(self.slices))]


class TorchvisionTrunk(LPIPSTrunk):
    """The trunk of LPIPS v0.1: torchvision's network, under the heads that were learned on judgements of patches.

    Args:
        name: Architecture, `alex` or `vgg`.
        weights: Weights of the trunk, by torchvision's names.
        heads: Weights of the heads, by the names of the package `lpips`.

    Raises:
        WeightsError: They are another network's.

    Source: Zhang et al. (2018), "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric".
    """

    def __init__(self, name: str, weights: Mapping[str, Tensor] | None, heads: Mapping[str, Tensor] | None) -> None:
        levels = {"vgg": vgg, "alex": alex}[name]()
        super().__init__(levels, weights, "features.", heads, f"torchvision's {name} weights")


class ShiftTolerantTrunk(LPIPSTrunk):
    """A trunk that blurs before it samples, trained together with its heads on judgements of patches.

    Args:
        name: Architecture, `alex` or `vgg`.
        weights: Weights of trunk and heads, by the names of the package `stlpips-pytorch` 0.0.2.

    Raises:
        WeightsError: They are another network's.

    Source: Ghildyal and Liu (2022), "Shift-tolerant Perceptual Similarity Metric".
    """

    def __init__(self, name: str, weights: Mapping[str, Tensor] | None) -> None:
        levels = {"vgg": blurred_vgg, "alex": blurred_alex}[name]()
        super().__init__(levels, weights, "net.slice{}.", weights, "the weights of stlpips-pytorch 0.0.2")


def unit(features: Tensor) -> Tensor:
    """Return features (B, C, H, W) of unit length over their channels, in float32 at least; zero stays zero."""
    return F.normalize(full_precision(features), dim=1, eps=1e-10)
