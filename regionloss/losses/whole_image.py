"""Perceptual losses of whole images, in the features of any backbone."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from regionloss.backbones.base import FeatureBackbone
from regionloss.checks import check_direction
from regionloss.detectors.whole_image import WholeImageDetector
from regionloss.distances.squared_l2 import SquaredL2
from regionloss.extractors.resize import ResizeExtractor
from regionloss.extractors.whole_image import WholeImageExtractor
from regionloss.losses.region_perceptual import RegionPerceptualLoss
from regionloss.weightings.area import UniformWeighting


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
