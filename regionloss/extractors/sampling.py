"""Sampling crops straight from the batch: no image is copied per region, nothing waits for the device.

Regions are laid out as a grid of images x slots (`Layout`). Axis-aligned crops are two matrix products per image,
`rows @ image @ columns^T`, whose matrices hold an anti-aliasing triangle filter; turned ones are one `grid_sample`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from regionloss.regions.layout import Layout
from regionloss.regions.regions import Regions
from regionloss.tensors import constants, full_precision, without_autocast

MOST_READS = 8  # per side and crop pixel; a region shrunk more than this aliases a little


def axis_weights(start: Tensor, step: Tensor, low: Tensor, high: Tensor, count: int, length: int) -> Tensor:
    """Return (R, count, length) filter weights along one axis, rows summing to one.

    Output i reads around `start + (i + 0.5) * step` with a triangle of half width `max(step, 1)`, as Pillow and
    torchvision do when they shrink with anti-aliasing; from the pixels that lie in `[low, high)` and nowhere else.

    Args:
        start: (R,) where the crop begins, pixels.
        step: (R,) pixels of the image per pixel of the crop.
        low: (R,) first coordinate that may be read.
        high: (R,) end of what may be read.
        count: Number of pixels of the crop along the axis.
        length: Number of pixels of the image along the axis.
    """
    first = low.floor().clamp(0, length - 1)[:, None]
    last = (high.ceil() - 1).clamp(0, length - 1)[:, None]
    outputs = torch.arange(count, device=start.device, dtype=start.dtype) + 0.5
    pixels = torch.arange(length, device=start.device, dtype=start.dtype)
    centres = start[:, None] + outputs * step[:, None]
    centres = torch.minimum(torch.maximum(centres, first + 0.5), last + 0.5)
    reach = (pixels + 0.5 - centres[..., None]).abs() / step.clamp(min=1.0)[:, None, None]
    inside = (pixels >= first) & (pixels <= last)
    weights = (1.0 - reach).clamp(min=0.0) * inside[:, None]
    return weights / weights.sum(-1, keepdim=True)


def sample_separable(images: Tensor, regions: Regions, rows: Tensor, columns: Tensor) -> Tensor:
    """Return crops `rows @ image @ columns^T` of every region.

    Args:
        images: Images (B, C, H, W) that are sampled.
        regions: R regions of these images.
        rows: Weights (R, h, H) of the images' rows.
        columns: Weights (R, w, W) of the images' columns.

    Returns:
        (R, C, h, w), at least float32.
    """
    layout = layout_of(regions)
    batch = occupied(images, layout)
    (count, channels, _, width), height_out = batch.shape, rows.shape[1]
    grid_rows = to_grid(rows.to(batch.dtype), layout, count)
    grid_columns = to_grid(columns.to(batch.dtype), layout, count)
    with without_autocast(images):
        strips = grid_rows.flatten(1, 2)[:, None] @ batch
        strips = strips.view(count, channels, layout.slots, height_out, width).transpose(1, 2).flatten(2, 3)
        crops = strips @ grid_columns.transpose(2, 3)
    crops = crops.view(count * layout.slots, channels, height_out, columns.shape[1])
    return crops.index_select(0, layout.slot)


def sample_projective(
    images: Tensor,
    regions: Regions,
    to_image: Tensor,
    size: tuple[int, int],
    reads: Sequence[tuple[Tensor, int]],
    spread: Tensor,
    fill: float | None = None,
    triangle: bool = False,
) -> Tensor:
    """Return crops read through a projective map, each pixel the mean of several bilinear reads.

    Args:
        images: Images (B, C, H, W) that are sampled.
        regions: R regions of these images.
        to_image: (R, 3, 3) from homogeneous crop pixels to image pixels, or (R, 2, 3) of an affine map.
        size: Height and width of the crops, pixels.
        reads: Across and down, how many reads a crop pixel is given, (R,) powers of two, and the largest of them, known
            to the host. A region that needs fewer reads its own points several times, so that its crop does not depend
            on the other regions of the batch.
        spread: (R, 2) across and down, the variance of these reads' places, as a share of a crop pixel.
        fill: Value outside the image; None repeats the border.
        triangle: Whether the places are dense in the middle, as under a triangle, instead of evenly spaced.

    Returns:
        (R, C, h, w), at least float32.
    """
    layout = layout_of(regions)
    batch = occupied(images, layout)
    x, y = (read_places(size[1 - i], *reads[i], spread[:, i], triangle) for i in (0, 1))
    points = x[:, None, :, None] * to_image[:, None, None, :, 0]
    points = points + y[:, :, None, None] * to_image[:, None, None, :, 1] + to_image[:, None, None, :, 2]
    if to_image.shape[1] == 3:
        points = points[..., :2] / points[..., 2:]
    scale = constants([2 / batch.shape[3], 2 / batch.shape[2]], points)
    grid = to_grid((points * scale - 1).to(batch.dtype), layout, len(batch)).flatten(1, 2)
    with without_autocast(images):
        shifted = batch if fill is None else batch - fill
        padding = "border" if fill is None else "zeros"
        crops = F.grid_sample(shifted, grid, mode="bilinear", padding_mode=padding, align_corners=False)
        (_, across), (_, down) = reads
        if across * down > 1:
            crops = F.avg_pool2d(crops, (down, across))
        crops = crops if fill is None else crops + fill
    shape = (len(batch), batch.shape[1], layout.slots, *size)
    return crops.view(shape).transpose(1, 2).flatten(0, 1).index_select(0, layout.slot)


def read_places(count: int, reads: Tensor, most: int, spread: Tensor, triangle: bool) -> Tensor:
    """Return (R, count * most), where along one axis the pixels of a crop are read, in crop pixels.

    The n reads of a pixel lie where equal shares of a box's, or a triangle's, mass have their middle, scaled to the
    variance that is wanted.
    """
    own = reads.to(spread.dtype)[:, None].clamp(max=most)
    number = torch.arange(most, device=spread.device, dtype=spread.dtype)
    places = (2 * (number * own / most).floor() + 1) / own - 1
    if triangle:
        places = places.sign() * (1 - (1 - places.abs()).sqrt())
    scale = spread[:, None].sqrt() / places.square().mean(1, keepdim=True).sqrt().clamp(min=1e-6)
    centres = torch.arange(count, device=spread.device, dtype=spread.dtype) + 0.5
    return (centres[:, None] + (places * scale)[:, None]).flatten(1)


def power_of_two(reads: Tensor) -> Tensor:
    """Return (R,) how many reads serve where so many are needed, at most `MOST_READS`; a hair more needs no more."""
    return (reads.clamp(1, MOST_READS).log2() - 1e-3).ceil().exp2()


def power_of_two_above(reads: float) -> int:
    """Return the same of one number on the host."""
    return 1 << max(0, math.ceil(math.log2(min(max(reads, 1), MOST_READS)) - 1e-3))


def layout_of(regions: Regions) -> Layout:
    """Return the regions' layout, bounded from above where the host does not know it."""
    known = regions.laid_out().layout
    return known or Layout.unknown(
        regions.boxes, regions.image_index, regions.keypoints, regions.image_size, regions.quads
    )


def occupied(images: Tensor, layout: Layout) -> Tensor:
    """Return the image of every row, at least float32: no work is done for images without regions."""
    return full_precision(images if layout.rows is None else images.index_select(0, layout.rows))


def to_grid(values: Tensor, layout: Layout, count: int) -> Tensor:
    """Scatter (R, ...) into (count, slots, ...); slots without a region hold zeros."""
    grid = values.new_zeros((count * layout.slots, *values.shape[1:]))
    return grid.index_copy(0, layout.slot, values).view(count, layout.slots, *values.shape[1:])
