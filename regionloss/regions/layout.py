"""Layout: what the host knows of a batch of regions, so that no step has to ask the device."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from regionloss.regions import quads as shapes

FEWEST_SLOTS = 4  # an image with a few more regions than the others does not make the grid wider for all


@dataclass(frozen=True, eq=False)
class Layout:
    """Regions arranged as a grid of rows by `slots` columns; a row reads one image.

    Sampling reads a batch of images and writes, per row, a fixed number of crops. Shapes and bounds must be numbers on
    the host. They are taken at collation, where the boxes are on a CPU, and travel with the regions. An image with many
    regions has several rows, so that it does not widen the grid for all.

    Args:
        rows: (N,) int64, the image of each row; None for every image of the batch once, in order.
        slots: Number of columns.
        slot: (R,) int64, position of each region in the flattened grid.
        spread: (R,) root mean square distance of a region's known keypoints from their centre, pixels; 0 without.
        side: (R,) longest side of each box, pixels.
        max_spread: Largest spread of a region.
        max_side: Longest side of a box without keypoints.
        bare: Whether a region may be without quadrilateral.
        max_quad: Largest width, height, longer and shorter side of a quadrilateral; None where no region has one.
    """

    rows: Tensor | None
    slots: int
    slot: Tensor
    spread: Tensor
    side: Tensor
    max_spread: float
    max_side: float
    bare: bool = True
    max_quad: tuple[float, float, float, float] | None = None

    @classmethod
    def of(
        cls,
        boxes: Tensor,
        image_index: Tensor,
        keypoints: Tensor | None,
        num_images: int | None,
        quads: Tensor | None = None,
    ) -> Layout:
        """Measure regions whose tensors are on a CPU."""
        spread, side = spreads(boxes, keypoints), (boxes[:, 2:] - boxes[:, :2]).amax(1)
        if len(boxes) == 0:
            return cls(image_index, 0, image_index, spread, side, 0.0, 0.0)
        images, image, counts = torch.unique(image_index, return_inverse=True, return_counts=True)
        slots = min(int(counts.max()), max(int(counts.median()), FEWEST_SLOTS))
        per_image = (counts + slots - 1) // slots
        rank = rank_in_image(image_index)
        row = (per_image.cumsum(0) - per_image)[image] + rank // slots
        rows = images.repeat_interleave(per_image)
        in_order = len(rows) == num_images and torch.equal(rows, torch.arange(num_images))
        bare = side[spread == 0]
        askew = boxes.new_zeros(0, 2) if quads is None else shapes.sides(quads[shapes.known(quads)])
        return cls(
            None if in_order else rows,
            slots,
            row * slots + rank % slots,
            spread,
            side,
            float(spread.max()),
            float(bare.max()) if len(bare) else 0.0,
            len(askew) < len(boxes),
            longest(askew) if len(askew) else None,
        )

    @classmethod
    def unknown(
        cls,
        boxes: Tensor,
        image_index: Tensor,
        keypoints: Tensor | None,
        image_size: tuple[int, int],
        quads: Tensor | None = None,
    ) -> Layout:
        """Bound what cannot be read without waiting for the device: any image may hold all regions, of any size."""
        slots = len(boxes)
        slot = image_index * slots + rank_in_image(image_index)
        spread, side = spreads(boxes, keypoints), (boxes[:, 2:] - boxes[:, :2]).amax(1)
        farthest = 0.0 if keypoints is None else math.hypot(*image_size) / 2  # in opposite corners
        askew = None if quads is None else (math.hypot(*image_size),) * 4
        return cls(None, slots, slot, spread, side, farthest, float(max(image_size)), True, askew)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Layout:
        """Return the layout with its tensors on another device; its numbers stay on the host."""
        return replace(self, **{n: v.to(device, non_blocking=non_blocking) for n, v in self.tensors().items()})

    def pin_memory(self) -> Layout:
        """Return the layout in page-locked memory."""
        return replace(self, **{name: value.pin_memory() for name, value in self.tensors().items()})

    def tensors(self) -> dict[str, Any]:
        """Return the tensors by the name of their field."""
        return {f.name: v for f in fields(self) if isinstance(v := getattr(self, f.name), Tensor)}


def rank_in_image(image_index: Tensor) -> Tensor:
    """Return (R,) how many earlier regions share the region's image."""
    order = image_index.argsort(stable=True)
    ordered, position = image_index[order], torch.arange(len(order), device=order.device)
    starts = torch.ones_like(ordered, dtype=torch.bool)
    starts[1:] = ordered[1:] != ordered[:-1]
    first = torch.where(starts, position, 0).cummax(0).values if len(order) else position
    return torch.empty_like(position).scatter(0, order, position - first)


def longest(sides: Tensor) -> tuple[float, float, float, float]:
    """Return the largest width, height, longer and shorter side of quadrilaterals' sides (N, 2)."""
    width, height = sides.amax(0).tolist()
    return width, height, max(width, height), float(sides.amin(1).max())


def spreads(boxes: Tensor, keypoints: Tensor | None) -> Tensor:
    """Return (R,) root mean square distances of known keypoints from their centre; 0 where fewer than two are known."""
    if keypoints is None:
        return torch.zeros_like(boxes[:, 0])
    known = keypoints.isfinite().all(2, keepdim=True)
    count = known.sum((1, 2)).clamp(min=1)
    points = torch.where(known, keypoints, 0)
    centre = points.sum(1, keepdim=True) / count[:, None, None]
    squares = torch.where(known, (points - centre).square(), 0).sum((1, 2))
    return (squares / count).sqrt()
