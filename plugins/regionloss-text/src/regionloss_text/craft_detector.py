"""The detector CRAFT: words as connected spots of characters and of the gaps between them."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from regionloss import Regions
from regionloss.backbones import Frozen, imagenet_spec
from regionloss.checks import check_images
from regionloss_text.boxes import Found, check_options, collect, enlarged
from regionloss_text.craft import Craft, craft_tensors
from regionloss_text.direction import Direction

Map = np.ndarray[Any, np.dtype[np.float32]]
Indices = np.ndarray[Any, np.dtype[np.int64]]
STRIDE = 2  # pixels of the image per pixel of the maps
SMALLEST = 10  # pixels of the maps, below which a spot is noise


class CraftDetector:
    """Finds words: the smallest rectangles around their characters, and upright boxes.

    Low images are enlarged for what stands in them: a strip of 20 x 1600 pixels to 160 x 12800, which takes as long as
    an image of 1280 x 1600. A smaller `max_scale` is quicker there, and finds less.

    Args:
        text_threshold: Least score of a word's strongest character, in [0, 1].
        link_threshold: Score above which a gap joins two characters, in [0, 1].
        low_text: Score above which a pixel belongs to a character, in [0, 1].
        min_side: Boxes with a shorter side, in pixels of the image, are left out.
        short_side: Images whose shorter side is below this many pixels are enlarged to it.
        max_scale: But never by more than this factor.
        direction: Words whose corners are named from where one begins to read: `"vertical"` ones, `"all"`, which looks
            for upside-down ones too (2 ms a word), or `"none"`: from the upper left as seen.

    Raises:
        InputError: A threshold outside [0, 1], a size that is not positive, or another direction.
        WeightsError: The file is not here, or the installed rapidocr does not ship the network of directions.

    Source: Baek et al. 2019 (CRAFT); weights of EasyOCR (`craft_mlt_25k.pth`).
    """

    kind = "text"

    def __init__(
        self,
        text_threshold: float = 0.7,
        link_threshold: float = 0.4,
        low_text: float = 0.4,
        min_side: float = 4.0,
        short_side: int = 256,
        max_scale: float = 8.0,
        direction: str = "vertical",
    ) -> None:
        shares = {"text_threshold": text_threshold, "link_threshold": link_threshold, "low_text": low_text}
        check_options("craft", shares, {"short_side": short_side, "max_scale": max_scale})
        self.text_threshold, self.link_threshold, self.low_text = text_threshold, link_threshold, low_text
        self.min_side, self.short_side, self.max_scale = min_side, short_side, max_scale
        self.direction = Direction(direction)
        self.network = Frozen(Craft(craft_tensors()))
        settings = " ".join(f"{name}={value:g}" for name, value in shares.items())
        self.version = f"craft_mlt_25k {settings} min_side={min_side:g} short_side={short_side} direction={direction}"

    def detect(self, images: Tensor) -> Regions:
        """Return the words of images (B, 3, H, W) in [-1, 1], on the CPU.

        Raises:
            InputError: Not such images.
        """
        check_images(images, "images")
        larger = enlarged(images, self.short_side, self.max_scale).to(images.device)
        scale = torch.tensor([images.shape[3] / larger.shape[3], images.shape[2] / larger.shape[2]])
        found = []
        for image in larger:
            text, link = self.maps(image[None]).clamp(0, 1).cpu().numpy()
            found.append(self.words(text, link).moved(STRIDE * scale))
        return self.direction(images, collect(found, (images.shape[2], images.shape[3]), self.min_side))

    def maps(self, image: Tensor) -> Tensor:
        """Return the two score maps (2, h, w) of one image (1, 3, H, W), mirrored up to a multiple of 32."""
        height, width = image.shape[2:]
        below, right = -height % 32, -width % 32
        padded = torch.nn.functional.pad(imagenet_spec()(image), (0, right, 0, below), mode="replicate")
        with torch.no_grad():
            scores: Tensor = self.network.network_for(padded)(padded)[0]
        return scores[:, : math.ceil(height / STRIDE), : math.ceil(width / STRIDE)]

    def words(self, text: Map, link: Map) -> Found:
        """Return the words in two maps (h, w), in pixels of the maps."""
        characters = text > self.low_text
        joined = (characters | (link > self.link_threshold)).astype(np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=4)
        boxes, quads, scores = [], [], []
        for spot in range(1, count):
            inside = labels == spot
            score = float(text[inside].max())
            if stats[spot, cv2.CC_STAT_AREA] < SMALLEST or score < self.text_threshold:
                continue
            rows, columns = np.nonzero(inside & characters)
            # The maps mark the middles of characters; a word's rim follows from how full its box is (CRAFT, 3.2).
            sides = int(stats[spot, cv2.CC_STAT_WIDTH]), int(stats[spot, cv2.CC_STAT_HEIGHT])
            rim = math.sqrt(int(stats[spot, cv2.CC_STAT_AREA]) * min(sides) / (sides[0] * sides[1]))
            left, top, right, bottom = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            boxes.append([left - rim, top - rim, right + rim, bottom + rim])
            quads.append(rectangle(rows, columns, int(stats[spot, cv2.CC_STAT_AREA])))
            scores.append(score)
        corners = torch.from_numpy(np.array(quads, dtype=np.float32)).reshape(-1, 4, 2)
        return Found(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), corners, torch.tensor(scores).float())


def rectangle(rows: Indices, columns: Indices, area: int) -> Map:
    """Return the corners (4, 2) of the smallest rectangle around a word's pixels and its rim, from its upper left.

    Which of a nearly square word's sides is the upper one says its upright box (as CRAFT has it).

    Args:
        rows: (N,) rows of the pixels of its characters.
        columns: (N,) their columns.
        area: Pixels of the word, gaps included.
    """
    centre, sides, angle = cv2.minAreaRect(np.stack([columns, rows], 1).astype(np.float32))
    wide, high = (side + 1 for side in sides)
    if max(wide, high) < 1.1 * min(wide, high):
        angle, wide, high = 0.0, float(np.ptp(columns) + 1), float(np.ptp(rows) + 1)
        centre = (columns.min() + columns.max()) / 2, (rows.min() + rows.max()) / 2
    rim = 2 * math.sqrt(area * min(wide, high) / (wide * high))
    corners = cv2.boxPoints((centre, (wide + rim, high + rim), angle)) + 0.5
    left, right = np.split(corners[corners[:, 0].argsort(kind="stable")], 2)
    (upper_left, lower_left), (upper_right, lower_right) = (pair[pair[:, 1].argsort()] for pair in (left, right))
    return np.stack([upper_left, upper_right, lower_right, lower_left]).astype(np.float32)
