"""Perceptual losses of whole images: any registered backbone, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import PositiveFloat

from insighttok_ref.schema import ComponentUse
from regionloss.hooks.catalogue import catalogue
from regionloss.losses import PerceptualLoss

__all__ = ["PerceptualLoss", "PerceptualOptions", "build_perceptual"]


class PerceptualOptions(ComponentUse):
    """The perceptual part.

    Args:
        use: Any registered feature backbone: `lpips-vgg` (the paper's) or `lpips-alex`, on torchvision's trunks;
            `st-lpips-vgg` or `st-lpips-alex`, the shift-tolerant ones, whose weights come in a package; a plugin's.
        weight: InsightTok: gamma = 0.5.
        options: Options of the backbone's constructor.
    """

    kind: ClassVar[str] = "backbone"

    use: str = "lpips-vgg"
    weight: PositiveFloat = 0.5


def build_perceptual(name: str, options: Mapping[str, Any] | None = None) -> PerceptualLoss:
    """Return the perceptual loss in a backbone's features, by the backbone's name. Nothing is fetched.

    Args:
        name: Name of a registered feature backbone.
        options: Options of the backbone's constructor.

    Raises:
        UnknownNameError: No plugin has such a backbone.
        InputError: Options that its constructor does not take.
        WeightsError: Its weights are not here, or are another network's; the sentence says what to do.
    """
    return PerceptualLoss(catalogue().build("backbone", name, options))
