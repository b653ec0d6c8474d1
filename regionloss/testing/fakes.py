"""Images and regions with known content, for tests without photographs."""

from __future__ import annotations

import torch
from torch import Tensor

from regionloss.regions.regions import Regions


def noise_images(count: int = 2, size: tuple[int, int] = (64, 96), seed: int = 0) -> Tensor:
    """Return smooth random images (count, 3, *size) in [-1, 1], the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, size[0] // 8 + 1, size[1] // 8 + 1, generator=generator) * 2 - 1
    return torch.nn.functional.interpolate(coarse, size, mode="bilinear", align_corners=False)


def grid_regions(kind: str, count: int = 2, size: tuple[int, int] = (64, 96), keypoints: int = 0) -> Regions:
    """Return two regions in each image but the last, which has one; keypoints on a circle in each box."""
    height, width = size
    left = [0.05 * width, 0.1 * height, 0.45 * width, 0.9 * height]
    right = [0.5 * width, 0.2 * height, 1.0 * width, 0.7 * height]
    boxes = torch.tensor([left, right] * count)[: 2 * count - 1]
    index = torch.arange(count).repeat_interleave(2)[: 2 * count - 1]
    points = circle(boxes, keypoints) if keypoints else None
    return Regions(kind, boxes, index, size, count, keypoints=points, scores=torch.full((len(boxes),), 0.9))


def circle(boxes: Tensor, count: int) -> Tensor:
    """Return (R, count, 2) points on an ellipse in each box."""
    angle = torch.arange(count) * (2 * torch.pi / count)
    directions = torch.stack([angle.cos(), angle.sin()], -1)
    centre, radius = (boxes[:, 2:] + boxes[:, :2]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 4
    return centre[:, None] + radius[:, None] * directions
