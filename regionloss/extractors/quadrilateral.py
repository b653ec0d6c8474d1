"""Quadrilateral -> crop of one size by a perspective map: words that lie askew, read upright."""

from __future__ import annotations

import sys

import torch
from torch import Tensor

from regionloss.checks import size_of
from regionloss.extractors.resize import ResizeExtractor
from regionloss.extractors.sampling import (
    layout_of,
    looks_at_values,
    power_of_two,
    power_of_two_above,
    sample_projective,
)
from regionloss.limits import number_of
from regionloss.regions import quads as shapes
from regionloss.regions.regions import Regions
from regionloss.tensors import constants, without_autocast, working_dtype

APART = 1.1  # pixels of the image between two reads of a crop pixel, at most


class RectifiedExtractor:
    """Brings the corners of each region onto those of the crop by a perspective map, anti-aliased.

    `r[c] = x[H(c)]`, where H maps the crop's corners to those of the quadrilateral. A crop pixel averages bilinear
    reads that spread as the filter of a resized box does. A region without quadrilateral is resized as its box, to the
    last bit.

    Args:
        size: Height and width of the crops, pixels.
        tall: What is higher than so many times its width (1 or more) is turned a quarter to the left, as readers of
            vertical words expect; none leaves it upright, squashed. Boxes are never turned.

    Raises:
        InputError: An option outside its range.

    Source: Heckbert, "Fundamentals of Texture Mapping and Image Warping" (1989), section 2.2.3.

    Example:
        >>> import torch
        >>> from regionloss import Regions
        >>> quads = torch.tensor([[[2.0, 1.0], [7.0, 4.0], [6.0, 6.0], [1.0, 3.0]]])
        >>> regions = Regions("text", torch.tensor([[1.0, 1.0, 7.0, 6.0]]), torch.tensor([0]), (8, 8), quads=quads)
        >>> RectifiedExtractor(size=(4, 16))(torch.zeros(1, 3, 8, 8), regions).shape
        torch.Size([1, 3, 4, 16])
    """

    def __init__(self, size: tuple[int, int] = (32, 128), tall: float | None = shapes.TALL) -> None:
        self.size = size_of(size, "rectified.size")
        if tall is not None:
            number_of(tall, "rectified.tall", "a ratio of 1 or more, or none", 1, sys.float_info.max)
        self.tall = tall
        self.upright = ResizeExtractor(self.size)

    def __call__(self, images: Tensor, regions: Regions) -> Tensor:
        """Return crops (R, 3, height, width) of `images` (B, 3, H, W)."""
        most = layout_of(regions).most
        if regions.quads is None or most.quad is None:
            return self.upright(images, regions)
        askew, quads = shapes.known(regions.quads), regions.quads.to(working_dtype(images))
        if not most.bare or not looks_at_values(images):
            crops, _ = self.read(images, regions, quads, most.quad)
            return torch.where(askew[:, None, None, None], crops, self.upright(images, regions)) if most.bare else crops
        parts = askew.nonzero().flatten(), (~askew).nonzero().flatten()
        crops, images = self.read(images, regions.select(parts[0]), quads[parts[0]], most.quad)
        crops = torch.cat([crops, self.upright(images, regions.select(parts[1]))])
        return crops.index_select(0, torch.cat(parts).argsort())

    def read(
        self, images: Tensor, regions: Regions, quads: Tensor, most: tuple[float, float, float, float]
    ) -> tuple[Tensor, Tensor]:
        """Return the crops of quadrilaterals, where there is none of boxes, for their shape's sake; and the images."""
        quads = torch.where(shapes.known(quads)[:, None, None], quads, shapes.corners(regions.boxes.to(quads.dtype)))
        if self.tall is None:
            largest = most[:2]
        else:
            quads, _ = shapes.lying(quads, self.tall)
            largest = most[2], min(most[2], self.tall * most[3])
        canvas = self.size[::-1]
        squares = (shapes.sides(quads) / constants(canvas, quads)).clamp(min=1).square()
        # As `resize` does: its triangle spreads by shrink^2 / 6, a bilinear read by 1 / 6.
        spread = (1 - 1 / squares) / 6
        needed = power_of_two((2 * squares - 1).sqrt() / APART)
        most_needed = [
            (2 * max(side / count, 1) ** 2 - 1) ** 0.5 / APART for side, count in zip(largest, canvas, strict=True)
        ]
        reads = [(needed[:, i], power_of_two_above(most_needed[i])) for i in (0, 1)]
        with without_autocast(images):
            to_image = homography(quads) / constants((*canvas, 1), quads)
        return sample_projective(images, regions, to_image, self.size, reads, spread, triangle=True)


def homography(quads: Tensor) -> Tensor:
    """Return (R, 3, 3), the perspective maps from the unit square to quadrilaterals (R, 4, 2), clockwise from 0, 0."""
    first, second, third, fourth = quads.unbind(1)
    right, below = second - third, fourth - third
    bend = first - second + third - fourth
    whole = cross(right, below)
    g, h = (cross(bend, below) / whole)[:, None], (cross(right, bend) / whole)[:, None]
    columns = [(1 + g) * second - first, (1 + h) * fourth - first, first]
    return torch.stack([torch.cat(pair, 1) for pair in zip(columns, (g, h, torch.ones_like(g)), strict=True)], 2)


def cross(a: Tensor, b: Tensor) -> Tensor:
    """Return (R,) cross products of vectors (R, 2)."""
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
