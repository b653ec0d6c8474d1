"""What the text detectors share: small images enlarged, boxes of single images put together."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from regionloss.errors import InputError, expected
from regionloss.regions import Regions, join


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


def collect(found: Sequence[tuple[Tensor, Tensor]], image_size: tuple[int, int], min_side: float = 0.0) -> Regions:
    """Return the text regions of several images as one batch, clipped to them; slim boxes are left out.

    Args:
        found: Boxes (N, 4) in pixels and scores (N,) of each image.
        image_size: `(H, W)` of the images.
        min_side: Boxes with a shorter side, in pixels, are left out.
    """
    return join([words_of(*one, image_size, min_side) for one in found], "text", image_size)


def words_of(boxes: Tensor, scores: Tensor, image_size: tuple[int, int], min_side: float) -> Regions:
    """Return the text regions of one image, on the CPU; as `collect` does."""
    boxes, scores = boxes.cpu().float(), scores.cpu().float()
    boxes = boxes.clamp(min=0).minimum(boxes.new_tensor([image_size[1], image_size[0]]).repeat(2))
    kept = (boxes[:, 2:] - boxes[:, :2]).amin(1) >= max(min_side, 1e-3)
    return Regions.single("text", boxes[kept], image_size, scores=scores[kept])


def check_options(where: str, shares: dict[str, float], positive: dict[str, float]) -> None:
    """Raise InputError for shares outside [0, 1], and for numbers that are not positive."""
    for name, value in shares.items():
        if not 0 <= value <= 1:
            raise InputError(expected(f"{where}.{name}", "a number in [0, 1]", f"{value:g}"))
    for name, value in positive.items():
        if value <= 0:
            raise InputError(expected(f"{where}.{name}", "a positive number", f"{value:g}"))
