"""The trunks of shift-tolerant LPIPS: AlexNet and VGG16 that blur before they sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regionloss.errors import WeightsError

# Of ImageNet, for images in [-1, 1].
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)


class Blur(nn.Module):
    """A binomial filter of 3 x 3 with stride 2, on two more reflected pixels on every side.

    Args:
        channels: Filtered apart.
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


def alex() -> list[list[nn.Module]]:
    """Return the levels of AlexNet: the first convolution has stride 1 and is blurred before its rectifier."""
    return [
        [nn.Conv2d(3, 64, 11, padding=2), Blur(64), nn.ReLU()],
        [nn.MaxPool2d(3, 1), Blur(64), nn.Conv2d(64, 192, 5, padding=2), nn.ReLU()],
        [nn.MaxPool2d(3, 1), Blur(192), nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()],
        [nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()],
        [nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()],
    ]


def vgg() -> list[list[nn.Module]]:
    """Return the levels of VGG16: pooling without stride, then a blur."""
    levels: list[list[nn.Module]] = []
    width = 3
    for channels, convolutions in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        level: list[nn.Module] = [nn.MaxPool2d(2, 1), Blur(width)] if levels else []
        for _ in range(convolutions):
            level += [nn.Conv2d(width, channels, 3, padding=1), nn.ReLU()]
            width = channels
        levels.append(level)
    return levels


TRUNKS = {"vgg": vgg, "alex": alex}


class ShiftTolerantTrunk(nn.Module):
    """A trunk with a linear head for each of its five levels, trained together on judgements of patches.

    Args:
        name: `alex` or `vgg`.
        weights: As the package `stlpips-pytorch` 0.0.2 has them.

    Raises:
        WeightsError: They are another network's.

    Source: Ghildyal and Liu (2022), "Shift-tolerant Perceptual Similarity Metric".
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, name: str, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        levels = TRUNKS[name]()
        self.slices = nn.ModuleList(nn.Sequential(*level) for level in levels)
        self.register_buffer("shift", torch.tensor(SHIFT).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(SCALE).view(1, 3, 1, 1))
        self._load(weights)

    def levels(self, images: Tensor) -> Sequence[Tensor]:
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

    def _load(self, weights: Mapping[str, Tensor]) -> None:
        """Take weights by their names in the package, where layers are numbered through all slices."""
        own, first = {}, 0
        try:
            for number, part in enumerate(self.slices):
                assert isinstance(part, nn.Sequential)
                for name in part.state_dict():
                    layer, _, rest = name.partition(".")
                    own[f"{number}.{name}"] = weights[f"net.slice{number + 1}.{first + int(layer)}.{rest}"]
                first += len(part)
                self.register_buffer(f"head{number}", weights[f"lin{number}.model.1.weight"].flatten())
            self.slices.load_state_dict(own)
        except (KeyError, RuntimeError) as error:
            raise WeightsError(
                f"ST-LPIPS trunk: expected the weights of stlpips-pytorch 0.0.2, got {error}."
            ) from error
