"""Sampling crops straight from the batch: no image is copied per region, nothing waits for the device.

Regions are laid out as a grid of images x slots (`Layout`). Axis-aligned crops are two matrix products per image,
`rows @ image @ columns^T`, whose matrices hold an anti-aliasing triangle filter; turned ones are one `grid_sample`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from regionloss.extractors.windows import Windows
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
) -> tuple[Tensor, Tensor]:
    """Return crops read through a projective map, each pixel the mean of several bilinear reads; and the images.

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
        Crops (R, C, h, w), at least float32, and the images, for whoever reads them next (`Windows`).
    """
    if looks_at_values(images) and len(regions):
        return sample_windows(images, regions, to_image, size, [n for n, _ in reads], spread, fill, triangle)
    layout = layout_of(regions)
    batch = occupied(images, layout)
    x, y = (read_places(size[1 - i], *reads[i], spread[:, i], triangle) for i in (0, 1))
    points = project(to_canvas(to_image, batch.shape), x, y)
    grid = to_grid(points.movedim(1, 3), layout, len(batch)).flatten(1, 2)
    crops = mean_of_reads(batch, grid, size, (reads[0][1], reads[1][1]), fill)
    return crops.flatten(0, 1).index_select(0, layout.slot), images


def sample_windows(
    images: Tensor,
    regions: Regions,
    to_image: Tensor,
    size: tuple[int, int],
    reads: Sequence[Tensor],
    spread: Tensor,
    fill: float | None,
    triangle: bool,
) -> tuple[Tensor, Tensor]:
    """Return the same on a CPU, where a look at values costs nothing and each read counts.

    Regions that need as many reads are read together, each from the window of its image that it reads.
    """
    kinds = torch.stack(list(reads), 1).long()
    crops, parts = [], [(kinds == kind).all(1).nonzero().flatten() for kind in kinds.unique(dim=0)]
    for own in parts:
        most = kinds[own[0]].tolist()
        x, y = (read_places(size[1 - i], reads[i][own], most[i], spread[own, i], triangle) for i in (0, 1))
        images, windows, corner = cut_windows(images, regions.image_index[own], outline(to_image[own], x, y))
        points = project(to_canvas(to_image[own], windows.shape, corner), x, y)
        crops.append(mean_of_reads(windows, points.movedim(1, 3), size, most, fill).flatten(0, 1))
    return torch.cat(crops).index_select(0, torch.cat(parts).argsort()), images


def looks_at_values(images: Tensor) -> bool:
    """Return whether values may decide what is done: an accelerator would wait for them, a graph would hold them."""
    return images.device.type == "cpu" and not torch.compiler.is_compiling()


def cut_windows(images: Tensor, index: Tensor, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return images, windows (R, C, h, w) of them that hold points (R, N, 2), and the corner x, y of each (R, 2)."""
    sides = torch.tensor(images.shape[:1:-1])
    first = torch.minimum((points.amin(1) - 0.5).clamp(min=0).floor().long(), sides - 1)
    last = torch.minimum((points.amax(1) + 0.5).clamp(min=1).ceil().long(), sides)
    extent = (last - first).amax(0)
    first = torch.minimum(first, sides - extent)
    corners = torch.cat([index[:, None], first.flip(1)], 1).tolist()
    windows, images = Windows.apply(images, corners, *extent.flip(0).tolist())
    return images, full_precision(windows), first


def outline(to_image: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return (R, 4, 2), where maps take the outermost reads: they are the outermost points, too."""
    return project(to_image, x[:, [0, -1]], y[:, [0, -1]]).flatten(2).transpose(1, 2).nan_to_num(0)


def to_canvas(to_image: Tensor, shape: Sequence[int], corner: Tensor | None = None) -> Tensor:
    """Return maps to where `grid_sample` looks, -1 to 1 in windows (R, C, h, w) with corners (R, 2) in images."""
    below = to_image[:, 2:] if to_image.shape[1] == 3 else constants((0, 0, 1), to_image)[None, None]
    upper = to_image[:, :2] if corner is None else to_image[:, :2] - corner[..., None] * below
    scale = constants((2 / shape[3], 2 / shape[2]), to_image)
    return torch.cat([upper * scale[:, None] - below, to_image[:, 2:]], 1)


def project(to_plane: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return (R, 2, h, w), where maps (R, 3, 3) or (R, 2, 3) take crop pixels x (R, w) and y (R, h)."""
    across = to_plane[:, :, 0, None] * x[:, None]
    down = to_plane[:, :, 1, None] * y[:, None] + to_plane[:, :, 2, None]
    points = across[:, :, None] + down[..., None]
    return points[:, :2] / points[:, 2:] if to_plane.shape[1] == 3 else points


def mean_of_reads(
    images: Tensor, grid: Tensor, size: tuple[int, int], reads: Sequence[int], fill: float | None
) -> Tensor:
    """Return crops (N, slots, C, h, w), means of bilinear reads of images (N, C, H, W).

    Args:
        images: Images that are read.
        grid: Places (N, slots * down * h, across * w, 2) from -1 to 1: first reads of all pixels, then second ones.
        size: Height and width of the crops, pixels.
        reads: How many reads a crop pixel has, across and down.
        fill: Value outside the image; None repeats the border.
    """
    with without_autocast(images):
        shifted = images if fill is None else images - fill
        padding = "border" if fill is None else "zeros"
        crops = F.grid_sample(shifted, grid.to(images.dtype), "bilinear", padding, align_corners=False)
        slots = grid.shape[1] // (reads[1] * size[0])
        crops = crops.view(*images.shape[:2], slots, reads[1], size[0], reads[0], size[1])
        # One axis after the other: the last one stays whole, and is added in vectors.
        crops = crops.mean(5).mean(3).transpose(1, 2)
        return crops if fill is None else crops + fill


def read_places(count: int, reads: Tensor, most: int, spread: Tensor, triangle: bool) -> Tensor:
    """Return (R, most * count), where along one axis the pixels of a crop are read: all first reads, then all second.

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
    return ((places * scale)[..., None] + centres).flatten(1)


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


def occupied(images: Tensor, layout: Layout) -> Tensor:
    """Return the image of every row, at least float32: no work is done for images without regions."""
    return full_precision(images if layout.rows is None else images.index_select(0, layout.rows))


def to_grid(values: Tensor, layout: Layout, count: int) -> Tensor:
    """Scatter (R, ...) into (count, slots, ...); slots without a region hold zeros."""
    grid = values.new_zeros((count * layout.slots, *values.shape[1:]))
    return grid.index_copy(0, layout.slot, values).view(count, layout.slots, *values.shape[1:])
