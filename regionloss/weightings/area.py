"""Weights by area: the paper's own, its root, none, and the detector's score."""

from __future__ import annotations

import torch
from torch import Tensor

from regionloss.regions.regions import Regions


class AreaWeighting:
    """`w = Area(box) / Area(image)`, the box clipped to the image: small, hard regions do not rule.

    Source: InsightTok, eq. 6.
    """

    def __call__(self, regions: Regions) -> Tensor:
        """Return (R,) weights in [0, 1]."""
        height, width = regions.image_size
        return regions.areas / (height * width)


class SqrtAreaWeighting:
    """`w = sqrt(Area(box) / Area(image))`, between the paper's weights and none."""

    def __call__(self, regions: Regions) -> Tensor:
        """Return (R,) weights in [0, 1]."""
        return AreaWeighting()(regions).sqrt()


class UniformWeighting:
    """`w = value` for every region (InsightTok, Table 3: stronger on regions, worse elsewhere).

    Args:
        value: Weight of every region, 0 or more.
    """

    def __init__(self, value: float = 1.0) -> None:
        self.value = value

    def __call__(self, regions: Regions) -> Tensor:
        """Return (R,) weights."""
        return torch.full_like(regions.boxes[:, 0], self.value)


class ScoreWeighting:
    """`w = score * Area(box) / Area(image)`: regions that the detector doubts count less."""

    def __call__(self, regions: Regions) -> Tensor:
        """Return (R,) weights in [0, 1]; the area alone where the regions carry no scores."""
        area = AreaWeighting()(regions)
        return area if regions.scores is None else area * regions.scores
