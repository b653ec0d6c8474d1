"""Extractors: images and regions -> crops of one size."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from regionloss.regions.regions import Regions


@runtime_checkable
class RegionExtractor(Protocol):
    """Cuts one crop per region, differentiable in the images.

    `size` is the crops' `(height, width)`, pixels; None where it follows the images.
    """

    size: tuple[int, int] | None

    def __call__(self, images: Tensor, regions: Regions) -> Tensor:
        """Return crops (R, 3, height, width) in the range of `images` (B, 3, H, W), in the order of the regions."""
        ...
