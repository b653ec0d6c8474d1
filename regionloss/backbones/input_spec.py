"""What a network wants to see. The SDK converts; no caller ever does."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from regionloss.checks import range_of
from regionloss.errors import InputError, expected
from regionloss.limits import number_of
from regionloss.tensors import constants

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, what Pillow's convert("L") uses


@dataclass(frozen=True)
class InputSpec:
    """The images that a network was trained on.

    Args:
        size: Height and width that it accepts, pixels; None for any.
        value_range: Lowest and highest pixel value, before `mean` and `std`.
        channels: `"RGB"`, `"BGR"` or `"L"` (one grey channel).
        mean: Subtracted per channel, in the network's order of channels.
        std: Divisor of each channel, after `mean` was subtracted.

    Example:
        >>> import torch
        >>> InputSpec(value_range=(0, 255), channels="BGR")(torch.ones(1, 3, 2, 2)).max()
        tensor(255.)
    """

    size: tuple[int, int] | None = None
    value_range: tuple[float, float] = (-1.0, 1.0)
    channels: str = "RGB"
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if self.channels not in ("RGB", "BGR", "L"):
            raise InputError(expected("InputSpec.channels", "'RGB', 'BGR' or 'L'", repr(self.channels)))
        for name, low in (("mean", -1e30), ("std", 1e-12)):
            numbers = getattr(self, name)
            if not isinstance(numbers, (tuple, list)):
                raise InputError(expected(f"InputSpec.{name}", "a tuple of numbers", repr(numbers)[:60]))
            for number in numbers:
                wanted = "finite numbers" if name == "mean" else "finite numbers above 0"
                number_of(number, f"InputSpec.{name}", wanted, low, 1e30)
        if {len(self.mean), len(self.std)} - {1, len(self.channels)}:
            got = f"{len(self.mean)} and {len(self.std)}"
            raise InputError(expected("InputSpec.mean, std", f"one number or {len(self.channels)}", got))
        range_of(self.value_range, "InputSpec.value_range")

    def __call__(self, crops: Tensor) -> Tensor:
        """Return crops (R, 3, h, w) in [-1, 1], RGB, as the network wants them."""
        if self.size is not None and tuple(crops.shape[2:]) != tuple(self.size):
            wanted, got = (" x ".join(map(str, size)) for size in (self.size, crops.shape[2:]))
            raise InputError(expected("crops", f"{wanted} pixels", got, "Set the extractor's size to that."))
        if self.channels == "L":
            luma = constants(LUMA, crops).view(1, 3, 1, 1)
            crops = (crops * luma).sum(1, keepdim=True)
        elif self.channels == "BGR":
            crops = crops.flip(1)
        low, high = self.value_range
        mean, std = (constants(v, crops).view(1, -1, 1, 1) for v in (self.mean, self.std))
        gain = (high - low) / 2 / std
        return crops * gain + ((high + low) / 2 - mean) / std


IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def imagenet_spec(size: tuple[int, int] | None = None) -> InputSpec:
    """Return the usual specification of networks trained on ImageNet: RGB in [0, 1], its mean and deviation."""
    return InputSpec(size, (0.0, 1.0), "RGB", IMAGENET_MEAN, IMAGENET_STD)
