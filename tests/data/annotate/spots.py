"""A plugin file for the tests: detectors that find the bounding box of all that is red, or blue.

The file SPOTS_LOG gets a line for each image that one looks at.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import torch
from torch import Tensor

from regionloss import Regions, hookimpl


@hookimpl
def register_detectors(register) -> None:
    register("red", "spots:RedDetector", licence="Apache-2.0", summary="red rectangles")
    register("blue", "spots:BlueDetector", licence="Apache-2.0", summary="blue rectangles")


class RedDetector:
    """Finds what is red, and its centre as a keypoint.

    Args:
        score: Of each find.
        pause: Seconds that it takes an image.
        refuse: Shorter side of images, in whole steps of 64 pixels, that it raises an error for.
    """

    kind, channel = "sign", 0

    def __init__(self, score: float = 0.75, pause: float = 0.0, refuse: int = 0) -> None:
        self.score, self.pause, self.refuse = score, pause, refuse
        self.version = "1"

    def detect(self, images: Tensor) -> Regions:
        time.sleep(self.pause * len(images))
        if "SPOTS_LOG" in os.environ:
            with Path(os.environ["SPOTS_LOG"]).open("a") as log:
                log.write("x\n" * len(images))
        if self.refuse == min(images.shape[2:]):
            raise RuntimeError("no images of this size")
        size, boxes, index = (images.shape[2], images.shape[3]), [], []
        for number, image in enumerate(images):
            others = [channel for channel in range(3) if channel != self.channel]
            ys, xs = ((image[self.channel] > 0) & (image[others] < -0.5).all(0)).nonzero().unbind(1)
            if len(ys):
                boxes.append([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
                index.append(number)
        found = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
        centres = torch.stack([found[:, 0::2].mean(1), found[:, 1::2].mean(1)], 1)[:, None]
        scores = torch.full((len(found),), self.score)
        where = torch.tensor(index, dtype=torch.int64)
        return Regions(self.kind, found, where, size, len(images), keypoints=centres, scores=scores)


class BlueDetector(RedDetector):
    """Finds what is blue."""

    kind, channel = "mark", 2
