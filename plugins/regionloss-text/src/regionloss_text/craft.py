"""CRAFT: a VGG16 trunk with batch norm, and a decoder that marks characters and the gaps between them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regionloss.weights import load_state_dict
from regionloss_text.convolutions import Conv, ConvChain, Pool

PREFIX = "module."
TRUNK = (
    Conv("basenet.slice1.0", "basenet.slice1.1"),
    Conv("basenet.slice1.3", "basenet.slice1.4"),
    Conv("basenet.slice1.7", "basenet.slice1.8", pool=Pool()),
    Conv("basenet.slice1.10", "basenet.slice1.11"),
    Conv("basenet.slice2.14", "basenet.slice2.15", pool=Pool()),
    Conv("basenet.slice2.17", "basenet.slice2.18"),
    Conv("basenet.slice3.20", "basenet.slice3.21"),
    Conv("basenet.slice3.24", "basenet.slice3.25", pool=Pool()),
    Conv("basenet.slice3.27", "basenet.slice3.28"),
    Conv("basenet.slice4.30", "basenet.slice4.31"),
    Conv("basenet.slice4.34", "basenet.slice4.35", pool=Pool()),
    Conv("basenet.slice4.37", "basenet.slice4.38", relu=False),
    Conv("basenet.slice5.1", pool=Pool((3, 3), (1, 1), (1, 1)), padding=6, dilation=6, relu=False),
    Conv("basenet.slice5.2", padding=0, relu=False),
)
#: Outputs of the trunk that CRAFT calls relu2_2, relu3_2, relu4_3, relu5_3 (which passes no ReLU) and fc7.
TAPS = (3, 5, 8, 11, 13)
HEAD = (
    Conv("conv_cls.0"),
    Conv("conv_cls.2"),
    Conv("conv_cls.4"),
    Conv("conv_cls.6", padding=0),
    Conv("conv_cls.8", padding=0, relu=False),
)


def upward(number: int) -> tuple[Conv, Conv]:
    """Return the two convolutions of a step of the decoder."""
    name = f"upconv{number}.conv"
    return Conv(f"{name}.0", f"{name}.1", padding=0), Conv(f"{name}.3", f"{name}.4")


class CraftTrunk(nn.Module):
    """The trunk alone: five maps at 1/2, 1/4, 1/8, 1/16 and 1/16 of the image, 128 to 1024 channels.

    Args:
        tensors: Tensors of `craft_mlt_25k.pth` by name.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.chain = ConvChain(TRUNK, tensors)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return relu2_2, relu3_2, relu4_3, relu5_3 and fc7 of images (B, 3, H, W)."""
        outputs = self.chain(images)
        return [outputs[i] for i in TAPS]


class Craft(nn.Module):
    """The whole detector.

    Args:
        tensors: Tensors of `craft_mlt_25k.pth` by name.

    Source: Baek et al. 2019 (CRAFT).
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.trunk = CraftTrunk(tensors)
        self.steps = nn.ModuleList([ConvChain(upward(number), tensors) for number in (1, 2, 3, 4)])
        self.head = ConvChain(HEAD, tensors)

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, 2, H / 2, W / 2): how much a pixel is a character's middle, and a gap between two."""
        *finer, deepest, last = self.trunk(images)
        merged = torch.cat([last, deepest], 1)
        for step, level in zip(self.steps, [*reversed(finer), None], strict=True):
            merged = step(merged)[-1]
            if level is not None:
                merged = F.interpolate(merged, level.shape[2:], mode="bilinear", align_corners=False)
                merged = torch.cat([merged, level], 1)
        scores: Tensor = self.head(merged)[-1]
        return scores


def craft_tensors() -> dict[str, Tensor]:
    """Return the tensors of CRAFT's weight file.

    Raises:
        WeightsError: The file is not here.
    """
    return load_state_dict("craft-mlt-25k", strip_prefix=PREFIX)
