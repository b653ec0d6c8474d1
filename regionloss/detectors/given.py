"""Boxes that somebody else found."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from regionloss.errors import InputError, expected
from regionloss.regions.regions import Regions


class GivenDetector:
    """Returns the same boxes for every image: a fixed layout, a test, or boxes from another tool.

    Args:
        boxes: `[x1, y1, x2, y2]` each, relative to the image, in [0, 1].
        kind: Kind of the regions.
    """

    def __init__(self, boxes: Sequence[Sequence[float]], kind: str = "text") -> None:
        self.boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
        self.kind = kind
        self.version = f"1 boxes={len(self.boxes)}"
        if len(self.boxes) and not (float(self.boxes.min()) >= 0 and float(self.boxes.max()) <= 1):
            advice = "Divide pixels by the image's width and height."
            raise InputError(expected("given.boxes", "relative corners in [0, 1]", str(boxes), advice))

    def detect(self, images: Tensor) -> Regions:
        """Return B x N regions of images (B, 3, H, W)."""
        count, (height, width) = len(images), images.shape[2:]
        scale = torch.tensor([width, height, width, height], dtype=torch.float32)
        index = torch.arange(count).repeat_interleave(len(self.boxes))
        return Regions(self.kind, (self.boxes * scale).repeat(count, 1), index, (height, width), count)
