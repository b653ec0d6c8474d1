"""Sampling crops straight from the batch: no image is copied per region, nothing waits for the device.

Regions are laid out as a grid of images x slots (`Layout`). Axis-aligned crops are two matrix products per image,
`rows @ image @ columns^T`, whose matrices hold an anti-aliasing triangle filter; rotated ones are one `grid_sample`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from regionloss.regions.layout import Layout
from regionloss.regions.regions import Regions
from regionloss.tensors import constants, full_precision, without_autocast


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


def sample_affine(
    images: Tensor, regions: Regions, points: Tensor, spread: Tensor, reads: Tensor, most: int, fill: float | None
) -> Tensor:
    """Return crops read at `points`, each pixel the mean of `reads` x `reads` bilinear reads.

    Args:
        images: Images (B, C, H, W) that are sampled.
        regions: R regions of these images.
        points: (R, h, w, 2) where each pixel of a crop lies in its image: x, y, pixels.
        spread: (R, 2, 2) the crop pixel's edges in the image along which the reads are spread (rows: along x, along
            y; columns: x, y), pixels; zero reads one point.
        reads: (R,) reads per side, powers of two.
        most: The largest of them, known to the host. A region that needs fewer reads its own points several times, so
            that its crop does not depend on the other regions of the batch.
        fill: Value outside the image; None repeats the border.

    Returns:
        (R, C, h, w), at least float32.
    """
    layout = layout_of(regions)
    batch = occupied(images, layout)
    if most > 1:
        points = spread_points(points, spread, reads, most)
    count, (rows, columns) = batch.shape[0], points.shape[1:3]
    scale = constants([2 / batch.shape[3], 2 / batch.shape[2]], points)
    grid = to_grid((points * scale - 1).to(batch.dtype), layout, count).flatten(1, 2)
    with without_autocast(images):
        shifted = batch if fill is None else batch - fill
        padding = "border" if fill is None else "zeros"
        crops = F.grid_sample(shifted, grid, mode="bilinear", padding_mode=padding, align_corners=False)
        if most > 1:
            crops = F.avg_pool2d(crops, most)
        crops = crops if fill is None else crops + fill
    shape = (count, batch.shape[1], layout.slots, rows // most, columns // most)
    return crops.view(shape).transpose(1, 2).flatten(0, 1).index_select(0, layout.slot)


def spread_points(points: Tensor, spread: Tensor, reads: Tensor, most: int) -> Tensor:
    """Return (R, h * most, w * most, 2): each point replaced by a square of `reads` x `reads` points, repeated."""
    steps = torch.arange(most, device=points.device, dtype=points.dtype)
    own = reads.to(points.dtype)[:, None].clamp(max=most)
    offsets = ((steps * own / most).floor() + 0.5) / own - 0.5
    along_x, along_y = (offsets[:, :, None] * spread[:, None, i] for i in (0, 1))
    square = along_y[:, :, None] + along_x[:, None, :]
    fine = points[:, :, None, :, None] + square[:, None, :, None, :]
    return fine.flatten(3, 4).flatten(1, 2)


def layout_of(regions: Regions) -> Layout:
    """Return the regions' layout, bounded from above where the host does not know it."""
    known = regions.laid_out().layout
    return known or Layout.unknown(regions.boxes, regions.image_index, regions.keypoints, regions.image_size)


def occupied(images: Tensor, layout: Layout) -> Tensor:
    """Return the image of every row, at least float32: no work is done for images without regions."""
    return full_precision(images if layout.rows is None else images.index_select(0, layout.rows))


def to_grid(values: Tensor, layout: Layout, count: int) -> Tensor:
    """Scatter (R, ...) into (count, slots, ...); slots without a region hold zeros."""
    grid = values.new_zeros((count * layout.slots, *values.shape[1:]))
    return grid.index_copy(0, layout.slot, values).view(count, layout.slots, *values.shape[1:])
