"""Which way a word is read: PP-OCR's classifier of text lines that stand upright or upside down, through RapidOCR."""

from __future__ import annotations

from torch import Tensor

from regionloss import Regions, upright_crops
from regionloss.errors import InputError, expected
from regionloss.regions import lying
from regionloss_text.rapid import engine, model_file, to_bgr

DIRECTION_FILE = "ch_ppocr_mobile_v2.0_cls_mobile.onnx"
CHOICES = ("none", "vertical", "all")
#: Higher than so many times its width: read downwards or upwards (`rectified.tall`).
TALL = 1.2
#: Score from which a line counts as upside down (RapidOCR's own): the rare case wants to be sure.
SURE = 0.9


class Direction:
    """Names the corners of words from where one begins to read, as detectors do not know it.

    Args:
        words: Words that are looked at: `"vertical"` ones, which run downwards or upwards; `"all"`, upside-down ones
            too, a crop of each through a small network; or `"none"`.

    Raises:
        InputError: Another word than these.
        WeightsError: The installed rapidocr does not ship the network.

    Source: PP-OCR's mobile direction classifier (v2.0), as shipped by RapidOCR.
    """

    def __init__(self, words: str) -> None:
        if words not in CHOICES:
            raise InputError(expected("direction", " or ".join(map(repr, CHOICES)), repr(words)))
        self.words = words
        if words != "none":
            model_file(DIRECTION_FILE)
            self.engine = engine({"Cls.cls_thresh": SURE})

    def __call__(self, images: Tensor, regions: Regions) -> Regions:
        """Return regions of images (B, 3, H, W) in [-1, 1], on the CPU, their quadrilaterals in reading order."""
        if self.words == "none" or regions.quads is None or not len(regions):
            return regions
        quads, tall = lying(regions.quads, TALL)
        picked = (tall | (self.words == "all")).nonzero().flatten()
        if crops := upright_crops(images, regions.select(picked)):
            _, found = self.engine.cls_and_rotate([to_bgr(crop[None])[0] for crop in crops.values()])
            said = zip(crops, found.cls_res or (), strict=True)
            turned = picked[[number for number, (label, score) in said if label == "180" and score > SURE]]
            quads[turned] = quads[turned].roll(2, 1)
        return regions.changed(quads=quads).laid_out()
