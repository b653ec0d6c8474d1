"""iresnet50, the paper's face network: InsightFace's improved ResNet, with the names of its `backbone.pth`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from regionloss.backbones import FeatureBackbone, InputSpec
from regionloss.weights import load_strictly

WIDTHS, BLOCKS = (64, 128, 256, 512), (3, 4, 14, 3)
EMBEDDING = 512
ARCFACE_INPUT = InputSpec((112, 112), (-1.0, 1.0), "RGB")


class IResNet50(FeatureBackbone):
    """Features of ArcFace's iresnet50, for crops of 112 x 112 aligned to `ARCFACE_TEMPLATE`.

    Levels: 0 is the stem (64 channels, 112 x 112), 1 to 4 are the stages (64 at 56, 128 at 28, 256 at 14, 512 at 7).

    Args:
        weights: Name of the weights, or a path to InsightFace's `backbone.pth` or to a checkpoint of its training.
            There is no random start: features of an untrained network would look like a loss and be none.
        out_indices: Numbers of the levels to compare, from 0.
        key: Entry with the weights in a file that has several networks, such as `"state_dict_backbone"`.

    Raises:
        WeightsError: The weights are not here, or are another network's.

    Source: InsightTok, section 3.2; Deng et al., ArcFace (2019); Duta et al., Improved residual networks (2020).
    """

    def __init__(
        self, weights: str = "arcface-r50", out_indices: Sequence[int] = (0, 1, 2, 3, 4), key: str = ""
    ) -> None:
        network = IResNet()
        load_strictly(network, weights, key=key)
        super().__init__(network, ARCFACE_INPUT, out_indices=out_indices, channels_last=True)

    def embedding(self, network: nn.Module, levels: Sequence[Tensor]) -> Tensor:
        """Return descriptions (R, 512), not normalised, from the last of all levels."""
        assert isinstance(network, IResNet)
        return network.describe(levels[-1])


class IBlock(nn.Module):
    """norm - convolution - norm - PReLU - convolution (stride) - norm, beside a shortcut."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.prelu = nn.PReLU(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or channels != width:
            shortcut = nn.Conv2d(channels, width, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(width))

    def forward(self, images: Tensor) -> Tensor:
        """Return features (R, width, h, w)."""
        branch = self.prelu(self.bn2(self.conv1(self.bn1(images))))
        features: Tensor = self.bn3(self.conv2(branch)) + self.downsample(images)
        return features


class IResNet(nn.Module):
    """`forward` returns the stem and the four stages; `embed` the description of a face.

    Args:
        blocks: Number of blocks of each stage; those of iresnet50 by default.
    """

    def __init__(self, blocks: Sequence[int] = BLOCKS) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.prelu = nn.PReLU(WIDTHS[0])
        channels = WIDTHS[0]
        for number, (width, count) in enumerate(zip(WIDTHS, blocks, strict=True), 1):
            stage = [IBlock(channels if i == 0 else width, width, 2 if i == 0 else 1) for i in range(count)]
            self.add_module(f"layer{number}", nn.Sequential(*stage))
            channels = width
        self.bn2 = nn.BatchNorm2d(channels)
        self.fc = nn.Linear(channels * 7 * 7, EMBEDDING)
        self.features = nn.BatchNorm1d(EMBEDDING)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the five levels of images (R, 3, h, w) in [-1, 1]."""
        levels = [self.prelu(self.bn1(self.conv1(images)))]
        for number in range(1, len(WIDTHS) + 1):
            levels.append(self.get_submodule(f"layer{number}")(levels[-1]))
        return levels

    def embed(self, images: Tensor) -> Tensor:
        """Return descriptions (R, 512), not normalised, of images (R, 3, 112, 112)."""
        return self.describe(self(images)[-1])

    def describe(self, features: Tensor) -> Tensor:
        """Return the same of the last stage (R, 512, 7, 7)."""
        vectors: Tensor = self.features(self.fc(torch.flatten(self.bn2(features), 1)))
        return vectors
