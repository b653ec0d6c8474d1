"""LPIPS as features: what the distance `squared-l2` makes of them is LPIPS, of each crop."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from regionloss.backbones.base import FeatureBackbone
from regionloss.backbones.input_spec import InputSpec
from regionloss.backbones.lpips_trunks import LPIPSTrunk, ShiftTolerantTrunk, TorchvisionTrunk, unit
from regionloss.weights import load_state_dict, values_matter


class LPIPSFeatures(FeatureBackbone):
    """The levels of a trunk, of unit length over their channels, times the roots of their heads' weights.

    `squared-l2` sums over channels and averages over positions and levels; LPIPS adds the levels, so each is also
    multiplied by the root of their number.

    Args:
        trunk: Network whose levels are compared, with a head of channel weights for each level.
        out_indices: Numbers of the levels that count, 0 to 4; None for all, which is LPIPS.

    Source: Zhang et al. (2018), eq. 1.
    """

    def __init__(self, trunk: LPIPSTrunk, out_indices: Sequence[int] | None = None) -> None:
        super().__init__(trunk, InputSpec(), out_indices=out_indices, channels_last=True)

    def levels(self, network: nn.Module, images: Tensor) -> list[Tensor]:
        """Return the five levels."""
        assert isinstance(network, LPIPSTrunk)
        count = len(network.slices) if self.out_indices is None else len(self.out_indices)
        pairs = zip(network(images), network.head_weights(), strict=True)
        return [unit(level) * (weights * count).sqrt()[:, None, None] for level, weights in pairs]


class LPIPSVgg(LPIPSFeatures):
    """LPIPS v0.1 on torchvision's VGG16.

    Args:
        weights: Name of the trunk's weights, or a path to torchvision's file.
        heads: Name of the heads' weights, or a path to the package's file.
        out_indices: Numbers of the levels that count, 0 to 4; None for all.
        key: Entry that holds the weights of the trunk where a file wraps them, such as `"state_dict"`.

    Raises:
        WeightsError: Weights are not here, or are another network's.

    Source: Zhang et al. (2018).
    """

    def __init__(
        self,
        weights: str = "vgg16-torchvision",
        heads: str = "lpips-heads-vgg",
        out_indices: Sequence[int] | None = None,
        key: str = "",
    ) -> None:
        super().__init__(TorchvisionTrunk("vgg", tensors_of(weights, key), tensors_of(heads)), out_indices)


class LPIPSAlex(LPIPSFeatures):
    """LPIPS v0.1 on torchvision's AlexNet; arguments as for `LPIPSVgg`."""

    def __init__(
        self,
        weights: str = "alexnet-torchvision",
        heads: str = "lpips-heads-alex",
        out_indices: Sequence[int] | None = None,
        key: str = "",
    ) -> None:
        super().__init__(TorchvisionTrunk("alex", tensors_of(weights, key), tensors_of(heads)), out_indices)


class ShiftTolerantVgg(LPIPSFeatures):
    """Shift-tolerant LPIPS with a VGG16.

    Args:
        weights: Name of the weights of trunk and heads, or a path to the package's file.
        out_indices: Numbers of the levels that count, 0 to 4; None for all.
        key: Entry that holds the weights of the trunk where a file wraps them, such as `"state_dict"`.

    Raises:
        WeightsError: Weights are not here, or are another network's.

    Source: Ghildyal and Liu (2022).
    """

    def __init__(self, weights: str = "st-lpips-vgg", out_indices: Sequence[int] | None = None, key: str = "") -> None:
        super().__init__(ShiftTolerantTrunk("vgg", tensors_of(weights, key)), out_indices)


class ShiftTolerantAlex(LPIPSFeatures):
    """Shift-tolerant LPIPS with an AlexNet; arguments as for `ShiftTolerantVgg`."""

    def __init__(self, weights: str = "st-lpips-alex", out_indices: Sequence[int] | None = None, key: str = "") -> None:
        super().__init__(ShiftTolerantTrunk("alex", tensors_of(weights, key)), out_indices)


def tensors_of(weights: str, key: str = "") -> dict[str, Tensor] | None:
    """Return the tensors of a weight file; None where their shapes alone matter."""
    return load_state_dict(weights, key=key) if values_matter() else None
