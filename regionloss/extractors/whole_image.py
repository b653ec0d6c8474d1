"""The image itself as the crop, for whole-image terms."""

from __future__ import annotations

from torch import Tensor

from regionloss.regions.regions import Regions


class WholeImageExtractor:
    """Returns the image of every region as it is (OCR-VQGAN compares whole images)."""

    size: tuple[int, int] | None = None

    def __call__(self, images: Tensor, regions: Regions) -> Tensor:
        """Return (R, 3, H, W), the image that each region belongs to."""
        return images.index_select(0, regions.image_index)
