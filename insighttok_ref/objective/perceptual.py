"""Perceptual losses of whole images, by name: the levels of a frozen trunk, compared."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, PositiveFloat, field_validator
from torch import Tensor, nn

from insighttok_ref.objective.st_lpips import TRUNKS, ShiftTolerantTrunk
from regionloss.backbones import Frozen
from regionloss.errors import PluginError, WeightsError, did_you_mean, expected
from regionloss.weights import load_state_dict

#: The trunks that fit the heads of the package `lpips`, by loss: weight file, and the network's name there.
LPIPS_TRUNKS = {
    "lpips-vgg": ("insighttok/vgg16-torchvision", "vgg"),
    "lpips-alex": ("insighttok/alexnet-torchvision", "alex"),
}
ST_LPIPS = {f"st-lpips-{name}": name for name in TRUNKS}
NAMES = (*LPIPS_TRUNKS, *ST_LPIPS)


class PerceptualOptions(BaseModel):
    """The perceptual part.

    Args:
        use: `lpips-vgg` (the paper's) or `lpips-alex`, on torchvision's trunks; `st-lpips-vgg` or `st-lpips-alex`, the
            shift-tolerant ones, whose weights come in a package.
        weight: InsightTok: gamma = 0.5.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    use: str = "lpips-vgg"
    weight: PositiveFloat = 0.5

    @field_validator("use")
    @classmethod
    def _known(cls, use: str) -> str:
        if use not in NAMES:
            raise ValueError(f"no perceptual loss is named '{use}'. {did_you_mean(use, NAMES)}")
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
        network: Frozen from now on.

    Source: Zhang et al. (2018), eq. 1; InsightTok, eq. 2.
    """

    def forward(self, reconstruction: Tensor, target: Tensor) -> Tensor:
        """Return the mean over images, 0-d.

        Args:
            reconstruction: (B, 3, H, W), RGB in [-1, 1], not clamped.
            target: As many images.
        """
        network: Any = self.network_for(reconstruction)
        with torch.no_grad():
            goals = [unit(level) for level in network.levels(target)]
        found = reconstruction.new_zeros(())
        for level, goal, weights in zip(network.levels(reconstruction), goals, network.head_weights(), strict=True):
            # Not an einsum: autocast would run it in half precision.
            squares = (unit(level) - goal).square()
            found = found + (squares * weights[:, None, None]).sum(1).mean()
        return found


def unit(features: Tensor) -> Tensor:
    """Return features (B, C, H, W) of unit length over their channels, in float32 at least; zero stays zero."""
    wide = features if features.dtype == torch.float64 else features.float()
    return F.normalize(wide, dim=1, eps=1e-10)


class LPIPSNetwork(nn.Module):
    """The package `lpips`: its heads (v0.1), scaling and layout, with a trunk's weights from a file.

    Args:
        net: Name of the trunk there.
        trunk: Its weights, as torchvision names them.
    """

    def __init__(self, net: str, trunk: dict[str, Tensor]) -> None:
        super().__init__()
        try:
            import lpips
        except ImportError as error:
            raise PluginError(f"LPIPS: expected the package lpips, got {error}. Run 'pip install lpips'.") from error
        with warnings.catch_warnings():
            # The package still calls torchvision with `pretrained`; a random trunk is never fetched, and never used.
            warnings.simplefilter("ignore")
            self.model = lpips.LPIPS(net=net, pretrained=True, pnet_rand=True, verbose=False)
        wanted = {
            f"slice{i}.{name}": value
            for i in range(1, 6)
            for name, value in getattr(self.model.net, f"slice{i}").state_dict().items()
        }
        missing = [name for name in wanted if f"features.{name.partition('.')[2]}" not in trunk]
        if missing:
            names = ", ".join(f"features.{name.partition('.')[2]}" for name in missing[:3])
            raise WeightsError(expected("LPIPS trunk", f"torchvision's {net} weights", f"a file without {names}"))
        try:
            self.model.net.load_state_dict({name: trunk[f"features.{name.partition('.')[2]}"] for name in wanted})
        except RuntimeError as error:
            raise WeightsError(f"LPIPS trunk: expected torchvision's {net} weights, got {error}.") from error

    def levels(self, images: Tensor) -> Sequence[Tensor]:
        """Return the five levels; see `Network`."""
        return tuple(self.model.net(self.model.scaling_layer(images)))

    def head_weights(self) -> Sequence[Tensor]:
        """Return the heads; see `Network`."""
        return [head.model[-1].weight.flatten() for head in self.model.lins]


def build_perceptual(name: str) -> PerceptualLoss:
    """Return a perceptual loss by name. Nothing is fetched.

    Raises:
        WeightsError: Its weights are not here, or are another network's; the sentence says what to do.
        PluginError: The package `lpips` is not installed.
    """
    if name in ST_LPIPS:
        weights = load_state_dict(f"insighttok/{name}")
        return PerceptualLoss(ShiftTolerantTrunk(ST_LPIPS[name], weights))
    file, net = LPIPS_TRUNKS[name]
    return PerceptualLoss(LPIPSNetwork(net, load_state_dict(file)))
