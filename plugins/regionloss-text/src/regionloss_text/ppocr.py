"""The text detector of PP-OCRv6 (a DBNet), through RapidOCR."""

from __future__ import annotations

import math
from importlib import metadata

import numpy as np
import torch
from rapidocr.ch_ppocr_det import TextDetOutput
from torch import Tensor
from torch.nn import functional

from regionloss import Regions
from regionloss.checks import check_images
from regionloss_text.boxes import Found, check_options, collect, enlarged
from regionloss_text.direction import Direction
from regionloss_text.rapid import DETECTOR_FILE, Pixels, engine, model_file, to_bgr

#: Width by height; a longer strip goes on above and below with what stands at its edge.
MOST_ASPECT = 8


class PPOcrDetector:
    """Finds lines and words of text: quadrangles, and the upright boxes around them.

    Small images are enlarged first: the network was trained on photographs, and finds boxes some pixels too large, or
    none, in an image of 64 pixels as it is.

    Args:
        threshold: Least mean text probability inside a box, in [0, 1].
        min_side: Boxes with a shorter side, in pixels of the image, are left out.
        short_side: Images whose shorter side is below this many pixels are enlarged to it.
        max_scale: But never by more than this factor.
        unclip: How far boxes grow beyond the shrunken text that the network marks (DBNet's unclip ratio). 1.1 leaves
            a thin rim around the ink; RapidOCR's own 1.6 leaves about three times that.
        direction: Words whose corners are named from where one begins to read: `"vertical"` ones, `"all"`, which looks
            for upside-down ones too (2 ms a word), or `"none"`: from the upper left as seen.

    Raises:
        InputError: A threshold outside [0, 1], a size that is not positive, or another direction.
        WeightsError: The installed rapidocr does not ship the networks.

    Source: Liao et al. 2020 (DBNet); PP-OCRv6 small, as shipped by RapidOCR.
    """

    kind = "text"

    def __init__(
        self,
        threshold: float = 0.5,
        min_side: float = 4.0,
        short_side: int = 256,
        max_scale: float = 8.0,
        unclip: float = 1.1,
        direction: str = "vertical",
    ) -> None:
        check_options(
            "ppocr", {"threshold": threshold}, {"short_side": short_side, "max_scale": max_scale, "unclip": unclip}
        )
        model_file(DETECTOR_FILE)
        self.direction = Direction(direction)
        self.min_side, self.short_side, self.max_scale = min_side, short_side, max_scale
        self.engine = engine(
            {
                "Global.use_vertical_padding": False,  # its black bands make a blank strip look like text
                "Det.limit_side_len": 32,
                "Det.limit_type": "min",
                "Det.box_thresh": threshold,
                "Det.unclip_ratio": unclip,
            }
        )
        settings = f"threshold={threshold:g} min_side={min_side:g} short_side={short_side} unclip={unclip:g}"
        self.version = f"rapidocr {metadata.version('rapidocr')} PP-OCRv6-small {settings} direction={direction}"

    def detect(self, images: Tensor) -> Regions:
        """Return the text regions of images (B, 3, H, W) in [-1, 1], on the CPU.

        Raises:
            InputError: Not such images.
        """
        check_images(images, "images")
        band = max(0, math.ceil((images.shape[3] / MOST_ASPECT - images.shape[2]) / 2))
        whole = functional.pad(images, (0, 0, band, band), "replicate") if band else images
        larger = enlarged(whole, self.short_side, self.max_scale)
        scale = torch.tensor([whole.shape[3] / larger.shape[3], whole.shape[2] / larger.shape[2]])
        above = torch.tensor([0.0, band])
        found = [self.find(pixels).moved(scale, -above) for pixels in to_bgr(larger)]
        return self.direction(images, collect(found, (images.shape[2], images.shape[3]), self.min_side))

    def find(self, pixels: Pixels) -> Found:
        """Return what is found in one image (H, W, 3), BGR bytes."""
        found = self.engine(pixels, use_det=True, use_cls=False, use_rec=False)
        # Where nothing is found, RapidOCR returns an object of another class, whose boxes are None.
        if not isinstance(found, TextDetOutput) or found.boxes is None or found.scores is None:
            return Found.of(torch.zeros(0, 4, 2), torch.zeros(0))
        quads = torch.from_numpy(np.asarray(found.boxes, dtype=np.float32)).reshape(-1, 4, 2)
        return Found.of(quads, torch.tensor(found.scores, dtype=torch.float32))
