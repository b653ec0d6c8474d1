"""What the text detectors share: small images enlarged, what was found in single images put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from regionloss.errors import InputError, expected
from regionloss.regions import Regions, clockwise, join


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


class Found(NamedTuple):
    """What a detector found in an image.

    Args:
        boxes: (N, 4), pixels.
        quads: (N, 4, 2), pixels, clockwise from the upper left.
        scores: (N,) in [0, 1].
    """

    boxes: Tensor
    quads: Tensor
    scores: Tensor

    @classmethod
    def of(cls, quads: Tensor, scores: Tensor) -> Found:
        """Return quadrilaterals with the upright boxes around them."""
        return cls(torch.cat([quads.amin(1), quads.amax(1)], 1), quads, scores)

    def moved(self, scale: Tensor, shift: Tensor | float = 0.0) -> Found:
        """Return places times `scale` (2,) plus `shift` (2,)."""
        flat = self.boxes.view(-1, 2, 2) * scale + shift
        return Found(flat.flatten(1), self.quads * scale + shift, self.scores)


def collect(found: Sequence[Found], image_size: tuple[int, int], min_side: float = 0.0) -> Regions:
    """Return the text regions of several images as one batch, boxes clipped to them; slim boxes are left out.

    Args:
        found: What was found in each image.
        image_size: `(H, W)` of the images.
        min_side: Boxes with a shorter side, in pixels, are left out.
    """
    return join([words_of(*one, image_size, min_side) for one in found], "text", image_size)


def words_of(boxes: Tensor, quads: Tensor, scores: Tensor, image_size: tuple[int, int], min_side: float) -> Regions:
    """Return the text regions of one image, on the CPU; as `collect` does."""
    boxes, quads, scores = boxes.cpu().float(), clockwise(quads.cpu().float()), scores.cpu().float()
    boxes = boxes.clamp(min=0).minimum(boxes.new_tensor([image_size[1], image_size[0]]).repeat(2))
    kept = (boxes[:, 2:] - boxes[:, :2]).amin(1) >= max(min_side, 1e-3)
    return Regions.single("text", boxes[kept], image_size, scores=scores[kept], quads=quads[kept])


def check_options(where: str, shares: dict[str, float], positive: dict[str, float]) -> None:
    """Raise InputError for shares outside [0, 1], and for numbers that are not positive."""
    for name, value in shares.items():
        if not 0 <= value <= 1:
            raise InputError(expected(f"{where}.{name}", "a number in [0, 1]", f"{value:g}"))
    for name, value in positive.items():
        if value <= 0:
            raise InputError(expected(f"{where}.{name}", "a positive number", f"{value:g}"))
