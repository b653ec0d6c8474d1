"""Sampling crops straight from the batch: no image is copied per region, nothing waits for the device.

Regions are laid out as a grid of images x slots (`Layout`). Axis-aligned crops are two matrix products per image,
`rows @ image @ columns^T`, whose matrices hold an anti-aliasing triangle filter; turned ones are one `grid_sample`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from regionloss.regions.layout import Largest, Layout
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
    if images.device.type == "cpu" and not torch.compiler.is_compiling() and len(regions):
        return sample_strips(images, regions, to_image, size, [n for n, _ in reads], spread, fill, triangle)
    layout = layout_of(regions)
    batch = occupied(images, layout)
    x, y = (read_places(size[1 - i], *reads[i], spread[:, i], triangle) for i in (0, 1))
    grid = to_grid(project(to_image, x, y), layout, len(batch)).flatten(1, 2)
    crops = mean_of_reads(batch, grid, (reads[0][1], reads[1][1]), fill)
    shape = (len(batch), batch.shape[1], layout.slots, *size)
    return crops.view(shape).transpose(1, 2).flatten(0, 1).index_select(0, layout.slot)


def sample_strips(
    images: Tensor,
    regions: Regions,
    to_image: Tensor,
    size: tuple[int, int],
    reads: Sequence[Tensor],
    spread: Tensor,
    fill: float | None,
    triangle: bool,
) -> Tensor:
    """Return the same on a CPU, where a look at values costs nothing and each read counts.

    Each region has those rows of its image that it reads, and regions that need as many reads are read together.
    """
    base = 2 * MOST_READS
    kinds = (reads[0] * base + reads[1]).long()
    order = kinds.argsort(stable=True)
    index, to_image, spread = regions.image_index[order], to_image[order], spread[order]
    across, down = (n[order] for n in reads)
    x, y = (read_places(size[1 - i], n, MOST_READS, spread[:, i], triangle) for i, n in enumerate((across, down)))
    # The map takes the outermost reads to the outermost points.
    heights = project(to_image, x[:, [0, -1]], y[:, [0, -1]])[..., 1].flatten(1).nan_to_num(0)
    strips, first = rows_read(images, index, heights.amin(1), heights.amax(1))
    found, counts = kinds.unique(return_counts=True)
    crops, end = [], 0
    for strip, kind in zip(strips.split(counts.tolist()), found.tolist(), strict=True):
        own = slice(end, end := end + len(strip))
        most = divmod(kind, base)
        x, y = (
            read_places(size[1 - i], n[own], most[i], spread[own, i], triangle) for i, n in enumerate((across, down))
        )
        points = project(to_image[own], x, y) - torch.stack([first[own] * 0, first[own]], 1)[:, None, None]
        crops.append(mean_of_reads(strip, points, most, fill))
    return torch.cat(crops).index_select(0, order.argsort())


def rows_read(images: Tensor, index: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Return rows (R, C, h, W) of images that hold `low` to `high` (R,), and the first of them (R,), pixels."""
    _, channels, height, width = images.shape
    first = (low - 0.5).clamp(0, height - 1).floor().long()
    last = (high + 0.5).clamp(1, height).ceil().long()
    tall = int((last - first).max())
    first = first.clamp(max=height - tall)
    lines = torch.arange(channels)[:, None] * height + torch.arange(tall)
    lines = lines + (index * channels * height + first)[:, None, None]
    strips = images.reshape(-1, width).index_select(0, lines.flatten()).view(-1, channels, tall, width)
    return full_precision(strips), first


def project(to_image: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return (R, h, w, 2), where maps (R, 3, 3) or (R, 2, 3) take crop pixels x (R, w) and y (R, h), image pixels."""
    points = x[:, None, :, None] * to_image[:, None, None, :, 0]
    points = points + y[:, :, None, None] * to_image[:, None, None, :, 1] + to_image[:, None, None, :, 2]
    return points[..., :2] / points[..., 2:] if to_image.shape[1] == 3 else points


def mean_of_reads(images: Tensor, points: Tensor, reads: tuple[int, int], fill: float | None) -> Tensor:
    """Return means (N, C, h, w) of bilinear reads at points (N, h * down, w * across, 2), `reads` across and down."""
    scale = constants([2 / images.shape[3], 2 / images.shape[2]], points)
    grid = (points * scale - 1).to(images.dtype)
    with without_autocast(images):
        shifted = images if fill is None else images - fill
        padding = "border" if fill is None else "zeros"
        crops = F.grid_sample(shifted, grid, mode="bilinear", padding_mode=padding, align_corners=False)
        crops = F.avg_pool2d(crops, reads[::-1]) if max(reads) > 1 else crops
        return crops if fill is None else crops + fill


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
    """Return the regions' layout, bounded from above where the host does not know it.

    While a graph is made, too: a number that was read would be part of it, and it would serve these regions alone.
    """
    given = regions.laid_out()
    size = given.image_size
    if given.layout is None:
        return Layout.unknown(given.boxes, given.image_index, given.keypoints, given.num_images, size, given.quads)
    if torch.compiler.is_compiling():
        most = Largest.inside(size, given.keypoints is not None, given.quads is not None)
        return replace(given.layout, most=most)
    return given.layout


def cut_apart(
    images: Tensor, regions: Regions, kinds: Tensor, cut: Callable[[Tensor, Regions], Tensor]
) -> Tensor | None:
    """Return crops that `cut` makes of each kind (R,) int64 of regions alone; None where that is no use.

    On a CPU each read counts, and a look at values costs nothing; an accelerator would wait, and counts launches.
    """
    if kinds.device.type != "cpu" or torch.compiler.is_compiling():
        return None
    parts = [(kinds == kind).nonzero().flatten() for kind in kinds.unique()]
    if len(parts) < 2:
        return None
    crops = torch.cat([cut(images, regions.select(part)) for part in parts])
    return crops.index_select(0, torch.cat(parts).argsort())


def occupied(images: Tensor, layout: Layout) -> Tensor:
    """Return the image of every row, at least float32: no work is done for images without regions."""
    return full_precision(images if layout.rows is None else images.index_select(0, layout.rows))


def to_grid(values: Tensor, layout: Layout, count: int) -> Tensor:
    """Scatter (R, ...) into (count, slots, ...); slots without a region hold zeros."""
    grid = values.new_zeros((count * layout.slots, *values.shape[1:]))
    return grid.index_copy(0, layout.slot, values).view(count, layout.slots, *values.shape[1:])
