"""Box -> crop of one size, whatever its aspect (InsightTok: 32 x 128 for text)."""

from __future__ import annotations

from torch import Tensor

from regionloss.checks import size_of
from regionloss.extractors.sampling import axis_weights, sample_separable
from regionloss.regions.regions import Regions
from regionloss.tensors import working_dtype


class ResizeExtractor:
    """Cuts each box out and resizes it to one size, anti-aliased; its aspect ratio is not kept.

    For a box with whole-number corners this is `image[..., y1:y2, x1:x2]` followed by
    `interpolate(size, mode="bilinear", antialias=True)`. Where a box leaves the image, a crop pixel beyond the border
    is read as one that is centred on it: the border repeated, where nothing is shrunk; where the crop is smaller than
    its box, the mean of what the filter covers in the image there.

    Args:
        size: Height and width of the crops, pixels.

    Source: InsightTok, section 3.2.1 (text region extraction).

    Example:
        >>> import torch
        >>> from regionloss import Regions
        >>> regions = Regions("text", torch.tensor([[2.0, 2.0, 6.0, 4.0]]), torch.tensor([0]), (8, 8))
        >>> ResizeExtractor(size=(4, 16))(torch.zeros(1, 3, 8, 8), regions).shape
        torch.Size([1, 3, 4, 16])
    """

    def __init__(self, size: tuple[int, int] = (32, 128)) -> None:
        self.size = size_of(size, "resize.size")

    def __call__(self, images: Tensor, regions: Regions) -> Tensor:
        """Return crops (R, 3, height, width) of `images` (B, 3, H, W)."""
        height, width = self.size
        x1, y1, x2, y2 = regions.boxes.to(working_dtype(images)).unbind(1)
        rows = axis_weights(y1, (y2 - y1) / height, y1, y2, height, images.shape[2])
        columns = axis_weights(x1, (x2 - x1) / width, x1, x2, width, images.shape[3])
        return sample_separable(images, regions, rows, columns)
