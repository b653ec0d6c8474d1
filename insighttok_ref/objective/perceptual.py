"""Perceptual losses of whole images, by name: the levels of a frozen trunk, compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from pydantic import BaseModel, ConfigDict, PositiveFloat, field_validator
from torch import Tensor

from regionloss.backbones import Frozen
from regionloss.backbones.lpips import LPIPSAlex, LPIPSFeatures, LPIPSVgg, ShiftTolerantAlex, ShiftTolerantVgg
from regionloss.backbones.lpips_trunks import unit
from regionloss.checks import check_direction
from regionloss.errors import did_you_mean

#: The same networks as the feature backbones of these names.
NETWORKS: dict[str, Callable[[], LPIPSFeatures]] = {
    "lpips-vgg": LPIPSVgg,
    "lpips-alex": LPIPSAlex,
    "st-lpips-vgg": ShiftTolerantVgg,
    "st-lpips-alex": ShiftTolerantAlex,
}


class PerceptualOptions(BaseModel):
    """The perceptual part.

    Args:
        use: `lpips-vgg` (the paper's) or `lpips-alex`, on torchvision's trunks; `st-lpips-vgg` or `st-lpips-alex`, the
            shift-tolerant ones, whose weights come in a package.
        weight: Weight of the loss (InsightTok: gamma = 0.5).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    use: str = "lpips-vgg"
    weight: PositiveFloat = 0.5

    @field_validator("use")
    @classmethod
    def _known(cls, use: str) -> str:
        if use not in NETWORKS:
            raise ValueError(f"no perceptual loss is named '{use}'. {did_you_mean(use, NETWORKS)}")
        return use


class Network(Protocol):
    """A trunk with a head for each of its levels."""

    def levels(self, images: Tensor) -> Sequence[Tensor]:
        """Return feature maps (B, C_l, H_l, W_l) of images (B, 3, H, W) in [-1, 1]."""

    def head_weights(self) -> Sequence[Tensor]:
        """Return non-negative weights (C_l,) of the channels of each level."""


class PerceptualLoss(Frozen):
    """sum over levels of the mean over positions of sum_c w_c (f_c(y) - f_c(x))^2, f normalised over its channels.

    The target takes no gradient. Features of half precision are compared in float32, and the root of a feature that is
    zero everywhere has a gradient (the original's has none: it divides by the root, then adds its epsilon).

    Args:
        network: Trunk with its heads, frozen from now on.

    Source: Zhang et al. (2018), eq. 1; InsightTok, eq. 2.
    """

    def forward(self, reconstruction: Tensor, target: Tensor) -> Tensor:
        """Return the mean over images, 0-d.

        Args:
            reconstruction: (B, 3, H, W), RGB in [-1, 1], not clamped.
            target: Targets of the same shape.
        """
        check_direction(reconstruction, target)
        network: Any = self.network_for(reconstruction)
        with torch.no_grad():
            goals = [unit(level) for level in network.levels(target)]
        found = reconstruction.new_zeros(())
        for level, goal, weights in zip(network.levels(reconstruction), goals, network.head_weights(), strict=True):
            # Not an einsum: autocast would run it in half precision.
            squares = (unit(level) - goal).square()
            found = found + (squares * weights[:, None, None]).sum(1).mean()
        return found


def build_perceptual(name: str) -> PerceptualLoss:
    """Return a perceptual loss by name. Nothing is fetched.

    Raises:
        WeightsError: Its weights are not here, or are another network's; the sentence says what to do.
    """
    return PerceptualLoss(NETWORKS[name]().network)
