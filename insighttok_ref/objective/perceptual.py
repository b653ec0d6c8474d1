"""Perceptual losses of whole images: any registered backbone, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import PositiveFloat
from torch import Tensor, nn

from insighttok_ref.schema import ComponentUse
from regionloss.backbones import FeatureBackbone
from regionloss.checks import check_direction
from regionloss.detectors import WholeImageDetector
from regionloss.distances import SquaredL2
from regionloss.extractors import ResizeExtractor, WholeImageExtractor
from regionloss.hooks.catalogue import catalogue
from regionloss.losses import RegionPerceptualLoss
from regionloss.weightings import UniformWeighting


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


class PerceptualLoss(nn.Module):
    """The squared distance of two images in a backbone's features, as a region term has it for a region.

    A network of one size sees images that are resized to it. The target takes no gradient.

    Args:
        backbone: Backbone whose features are compared; with those of LPIPS this is LPIPS.

    Source: Zhang et al. (2018), eq. 1; InsightTok, eq. 2.
    """

    def __init__(self, backbone: FeatureBackbone) -> None:
        super().__init__()
        size = backbone.input_spec.size
        extractor: Any = WholeImageExtractor() if size is None else ResizeExtractor(size)
        self.loss = RegionPerceptualLoss(extractor, backbone, SquaredL2(), UniformWeighting())

    def forward(self, reconstruction: Tensor, target: Tensor) -> Tensor:
        """Return the mean over images, 0-d.

        Args:
            reconstruction: (B, 3, H, W), RGB in [-1, 1], not clamped.
            target: Targets of the same shape.
        """
        check_direction(reconstruction, target)
        distance: Tensor = self.loss(reconstruction, target, WholeImageDetector().detect(target))
        return distance


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
