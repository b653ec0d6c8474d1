"""What the text detectors share: small images enlarged, boxes of single images put together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from regionloss import Regions
from regionloss.errors import InputError, expected


def enlarged(images: Tensor, short_side: int, max_scale: float) -> Tensor:
    """Return images (B, 3, H, W), float32 on the CPU, whose shorter side is at least `short_side` pixels.

    Never enlarged by more than `max_scale`; never made smaller.
    """
    images = images.detach().float().cpu()
    height, width = images.shape[2], images.shape[3]
    scale = min(max(short_side / min(height, width), 1.0), max_scale)
    if scale == 1:
        return images
    return F.interpolate(images, (round(height * scale), round(width * scale)), mode="bicubic", antialias=True)


def collect(found: Sequence[tuple[Tensor, Tensor]], image_size: tuple[int, int], min_side: float) -> Regions:
    """Return the text regions of several images as one batch, clipped to them; slim boxes are left out.

    Args:
        found: Boxes (N, 4) in pixels and scores (N,) of each image.
        image_size: `(H, W)` of the images.
        min_side: Boxes with a shorter side, in pixels, are left out.
    """
    height, width = image_size
    counts = torch.tensor([len(boxes) for boxes, _ in found], dtype=torch.int64)
    boxes = torch.cat([torch.zeros(0, 4), *(boxes for boxes, _ in found)])
    scores = torch.cat([torch.zeros(0), *(scores for _, scores in found)])
    index = torch.arange(len(found)).repeat_interleave(counts)
    boxes = boxes.clamp(min=0).minimum(torch.tensor([width, height, width, height], dtype=torch.float32))
    kept = (boxes[:, 2:] - boxes[:, :2]).amin(1) >= max(min_side, 1e-3)
    return Regions("text", boxes[kept], index[kept], (height, width), len(found), scores=scores[kept])


def check_options(where: str, shares: dict[str, float], positive: dict[str, float]) -> None:
    """Raise InputError for shares outside [0, 1], and for numbers that are not positive."""
    for name, value in shares.items():
        if not 0 <= value <= 1:
            raise InputError(expected(f"{where}.{name}", "a number in [0, 1]", f"{value:g}"))
    for name, value in positive.items():
        if value <= 0:
            raise InputError(expected(f"{where}.{name}", "a positive number", f"{value:g}"))
