"""A judge of whole documents: PP-OCRv6's detector and recogniser, line after line."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from torch import Tensor

from regionloss.judges import Reading
from regionloss.regions import Regions
from regionloss.weights import sha256_of
from regionloss_text.judge import crops_of
from regionloss_text.rapid import DETECTOR_FILE, RECOGNISER_FILE, engine, model_file


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
        readings = []
        for crop in crops_of(images, regions):
            found: Any = self.engine(crop)
            lines = found.txts or ()
            scores = [float(score) for score in found.scores or ()]
            readings.append(Reading("".join(lines), sum(scores) / len(scores) if scores else 0.0))
        return readings
