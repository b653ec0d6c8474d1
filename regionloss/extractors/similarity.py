"""The similarity transform that brings keypoints onto a template (InsightTok, eq. 7), in closed form."""

from __future__ import annotations

import torch
from torch import Tensor


def fit_similarity(points: Tensor, template: Tensor) -> tuple[Tensor, Tensor]:
    """Return the similarity that maps points onto a template with the least squared error.

    In the plane, `s R p + t` is `a p + b` with complex a and b, so the least squares problem of eq. 7 is a linear
    regression: `a = sum(conj(p - mean p) (q - mean q)) / sum |p - mean p|^2`, `b = mean q - a mean p`. Points that are
    NaN are left out.

    Args:
        points: (R, K, 2) keypoints, pixels.
        template: (K, 2) where they should come to lie, pixels of the crop.

    Returns:
        `matrix` (R, 2, 2) = s R and `offset` (R, 2). Where fewer than two distinct points are known the matrix is zero.

    Source: InsightTok, eq. 7.
    """
    known = points.isfinite().all(-1, keepdim=True)
    weights = known.to(points.dtype)
    total = weights.sum(1, keepdim=True).clamp(min=1)
    source = torch.where(known, points, 0)
    goal = template * weights
    source_mean, goal_mean = source.sum(1, keepdim=True) / total, goal.sum(1, keepdim=True) / total
    p, q = (source - source_mean) * weights, (goal - goal_mean) * weights
    norm = p.square().sum((1, 2))
    real = (p * q).sum((1, 2))
    imaginary = (p[..., 0] * q[..., 1] - p[..., 1] * q[..., 0]).sum(1)
    usable = norm > 1e-6
    safe = torch.where(usable, norm, 1)
    cos, sin = (torch.where(usable, part / safe, 0) for part in (real, imaginary))
    matrix = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
    offset = goal_mean[:, 0] - (matrix @ source_mean[:, 0, :, None])[..., 0]
    return matrix, offset
