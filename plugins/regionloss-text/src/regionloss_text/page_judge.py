"""A judge of whole documents: PP-OCRv6's detector and recogniser, line after line."""

from __future__ import annotations

import math
from importlib.metadata import version
from typing import Any

import numpy as np
from torch import Tensor

from regionloss.checks import check_images, check_regions
from regionloss.judges import Reading
from regionloss.regions import Regions
from regionloss.weights import sha256_of
from regionloss_text.rapid import DETECTOR_FILE, RECOGNISER_FILE, engine, model_file, to_bgr


class PPOcrPageJudge:
    """Reads all lines of a region, mostly a whole image, and puts them one behind the other.

    Raises:
        WeightsError: The installed rapidocr does not ship the networks.

    Source: PP-OCRv6 small, as shipped by RapidOCR; lines are joined as OmniDoc-TokenBench joins them.
    """

    kind = "document"
    language_model = False
    pipeline = (
        "box in whole pixels, clipped to the image; RapidOCR's detector, then its recogniser; lines without a break"
    )

    def __init__(self) -> None:
        model_file(DETECTOR_FILE)
        self.weights_sha256 = sha256_of(model_file(RECOGNISER_FILE))
        self.engine = engine({"Global.use_cls": False})
        self.tool = f"PP-OCRv6 small, detector and recogniser (CTC), rapidocr {version('rapidocr')}"

    def judge(self, images: Tensor, regions: Regions) -> list[Reading]:
        """Return one reading per region of images (B, 3, H, W) in [-1, 1], in their order.

        Raises:
            InputError: Images or regions that do not fit.
        """
        check_images(images, "images")
        check_regions(regions, images)
        pixels = to_bgr(images)
        readings = []
        for (x1, y1, x2, y2), owner in zip(regions.boxes.tolist(), regions.image_index.tolist(), strict=True):
            corner = max(math.floor(y1), 0), max(math.floor(x1), 0)
            cut = np.ascontiguousarray(pixels[owner, corner[0] : math.ceil(y2), corner[1] : math.ceil(x2)])
            found: Any = self.engine(cut)
            lines = found.txts or ()
            scores = [float(score) for score in found.scores or ()]
            readings.append(Reading("".join(lines), sum(scores) / len(scores) if scores else 0.0))
        return readings
