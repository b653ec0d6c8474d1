"""Which way a word is read: PP-OCR's classifier of text lines that stand upright or upside down, through RapidOCR."""

from __future__ import annotations

import torch
from torch import Tensor

from regionloss import RectifiedExtractor, Regions
from regionloss.errors import InputError, expected
from regionloss_text.rapid import engine, model_file, to_bgr

DIRECTION_FILE = "ch_ppocr_mobile_v2.0_cls_mobile.onnx"
CHOICES = ("none", "vertical", "all")
#: Higher than so many times its width: read downwards or upwards (`rectified.tall`).
TALL = 1.2
#: Pixels of the classifier's input, steps between the widths that crops have in it.
HEIGHT, WIDTH, STEP = 48, 192, 16
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
        lengths = (regions.quads.roll(-1, 1) - regions.quads).norm(dim=2)
        width, height = torch.maximum(lengths[:, :2], lengths[:, 2:]).unbind(1)
        tall = height > TALL * width
        lying = torch.where(tall[:, None, None], regions.quads.roll(-1, 1), regions.quads)
        aspect = torch.maximum(width, height) / torch.where(tall, width, height)
        columns = (aspect * HEIGHT / STEP).ceil().mul(STEP).clamp(STEP, WIDTH)
        columns[~tall if self.words == "vertical" else columns.isnan()] = 0
        upside_down = torch.zeros_like(tall)
        for count in columns[columns > 0].unique().int().tolist():
            own = (columns == count).nonzero().flatten()
            some = regions.changed(quads=lying).select(own)
            crops = RectifiedExtractor((HEIGHT, count), tall=None)(images.detach().float().cpu(), some)
            _, found = self.engine.cls_and_rotate(list(to_bgr(crops)))
            said = [label == "180" and score > SURE for label, score in found.cls_res or ()]
            upside_down[own] = torch.tensor(said)
        quads = torch.where(upside_down[:, None, None], lying.roll(2, 1), lying)
        return regions.changed(quads=quads).laid_out()
