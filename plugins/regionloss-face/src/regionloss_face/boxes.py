"""Arithmetic on boxes (N, 4), `x1, y1, x2, y2` in continuous pixels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from regionloss.regions import Regions


def moved(boxes: Tensor, offsets: Tensor) -> Tensor:
    """Return boxes whose corners are moved by offsets (N, 4) in widths and heights of the box."""
    return boxes + offsets * sides(boxes).repeat(1, 2)


def squared(boxes: Tensor) -> Tensor:
    """Return the squares around the centres of boxes, with their longer side."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = sides(boxes).amax(1, keepdim=True) / 2
    return torch.cat([centre - half, centre + half], 1)


def sides(boxes: Tensor) -> Tensor:
    """Return widths and heights (N, 2)."""
    return boxes[:, 2:] - boxes[:, :2]


def suppress(boxes: Tensor, scores: Tensor, limit: float, *, by_smaller: bool = False) -> Tensor:
    """Return the index of the boxes to keep, best first: none overlaps a better one by more than `limit`.

    Args:
        boxes: Boxes (N, 4), in pixels.
        scores: Scores (N,) of the boxes.
        limit: Most that the area of an intersection may be of the union.
        by_smaller: Compare with the area of the smaller box instead of the union.
    """
    areas = sides(boxes).clamp(min=0).prod(1)
    order = scores.argsort(descending=True, stable=True)
    kept = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(best)
        low, high = torch.maximum(boxes[best, :2], boxes[rest, :2]), torch.minimum(boxes[best, 2:], boxes[rest, 2:])
        shared = (high - low).clamp(min=0).prod(1)
        smaller = torch.minimum(areas[best], areas[rest])
        overlap = shared / (smaller if by_smaller else areas[best] + areas[rest] - shared)
        order = rest[overlap <= limit]
    return torch.stack(kept) if kept else order


def usable(boxes: Tensor, image_size: Sequence[int]) -> Tensor:
    """Return (N,) bool: whether a box is finite, one pixel wide and high at least, and overlaps the image."""
    height, width = image_size
    overlap = (boxes[:, 2:] >= 1).all(1) & (boxes[:, 0] <= width - 1) & (boxes[:, 1] <= height - 1)
    return (sides(boxes) >= 1).all(1) & overlap & boxes.isfinite().all(1)


def clipped(boxes: Tensor, image_size: Sequence[int]) -> Tensor:
    """Return the parts of boxes that lie in the image."""
    height, width = image_size
    return boxes.clamp(min=0).minimum(boxes.new_tensor([width, height, width, height]))


def faces_of(boxes: Tensor, scores: Tensor, keypoints: Tensor, image_size: tuple[int, int]) -> Regions:
    """Return what is found in one image as its faces: boxes clipped to it, those that are not usable left out."""
    kept = usable(boxes, image_size)
    inside = clipped(boxes[kept], image_size)
    return Regions.single("face", inside, image_size, keypoints=keypoints[kept], scores=scores[kept])
