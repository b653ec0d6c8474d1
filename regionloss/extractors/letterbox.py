"""Box -> crop of one size with its aspect kept and the rest filled."""

from __future__ import annotations

import torch
from torch import Tensor

from regionloss.checks import size_of
from regionloss.errors import InputError, expected
from regionloss.extractors.sampling import axis_weights, sample_separable
from regionloss.regions.regions import Regions
from regionloss.tensors import constants, working_dtype


class LetterboxExtractor:
    """Cuts each box out and resizes it to the largest size that fits, anti-aliased; the rest is filled.

    Args:
        size: Height and width of the crops, pixels.
        fill: Value around the resized box, in [-1, 1]; -1 is black.
        anchor: `"centre"`, or `"top-left"` (TokBench pads right and bottom).
    """

    def __init__(self, size: tuple[int, int] = (32, 128), fill: float = -1.0, anchor: str = "centre") -> None:
        self.size = size_of(size, "letterbox.size")
        if anchor not in ("centre", "top-left"):
            raise InputError(expected("letterbox.anchor", "'centre' or 'top-left'", repr(anchor)))
        self.fill, self.anchor = fill, anchor

    def __call__(self, images: Tensor, regions: Regions) -> Tensor:
        """Return crops (R, 3, height, width) of `images` (B, 3, H, W)."""
        height, width = self.size
        boxes = regions.boxes.to(working_dtype(images))
        low, high = boxes[:, :2], boxes[:, 2:]
        canvas = constants((width, height), boxes)
        step = ((high - low) / canvas).amax(1)
        margin = canvas - (high - low) / step[:, None]
        start = low - (margin / 2 if self.anchor == "centre" else 0) * step[:, None]
        columns, rows = (
            axis_weights(start[:, i], step, low[:, i], high[:, i], self.size[1 - i], images.shape[3 - i])
            * self.covered(start[:, i], step, low[:, i], high[:, i], self.size[1 - i])[..., None]
            for i in (0, 1)
        )
        crops = sample_separable(images, regions, rows, columns)
        return crops + self.fill * (1 - rows.sum(2)[:, None, :, None] * columns.sum(2)[:, None, None, :])

    @staticmethod
    def covered(start: Tensor, step: Tensor, low: Tensor, high: Tensor, count: int) -> Tensor:
        """Return (R, count), the share of each crop pixel that the box covers along one axis."""
        edges = start[:, None] + torch.arange(count, device=start.device, dtype=start.dtype) * step[:, None]
        overlap = torch.minimum(edges + step[:, None], high[:, None]) - torch.maximum(edges, low[:, None])
        return (overlap / step[:, None]).clamp(0, 1)
