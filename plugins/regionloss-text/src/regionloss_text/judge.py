"""The judge of text: PP-OCRv6's recogniser, through RapidOCR. It is never trained against."""

from __future__ import annotations

import math
from functools import cached_property
from importlib.metadata import version

import numpy as np
from torch import Tensor

from regionloss import upright_crops
from regionloss.checks import check_images, check_regions
from regionloss.errors import InputError, expected
from regionloss.judges import Reading
from regionloss.regions import Regions
from regionloss.weights import sha256_of
from regionloss_text.rapid import RECOGNISER_FILE, Pixels, engine, model_file, to_bgr

#: The recogniser's input, 48 x 320: narrower crops are padded to it, wider ones stay as wide as they are.
ASPECT = 320 / 48


class PPOcrJudge:
    """Reads each region with a network of other authors, data and architecture than the loss networks.

    Args:
        margin: Added around a box on each side, as a share of its height.
        batch_size: Crops per call of the network.

    Raises:
        InputError: A negative margin, or a batch size below 1.
        WeightsError: The installed rapidocr does not ship the network.

    Source: PP-OCRv6 small recogniser, as shipped by RapidOCR.
    """

    kind = "text"
    language_model = False

    def __init__(self, margin: float = 0.1, batch_size: int = 16) -> None:
        if margin < 0 or batch_size < 1:
            wanted = "margin >= 0 and batch_size >= 1"
            raise InputError(expected("ppocr-v6", wanted, f"margin={margin}, batch_size={batch_size}"))
        self.margin = margin
        self.weights_sha256 = sha256_of(model_file(RECOGNISER_FILE))
        self.engine = engine({"Rec.rec_batch_num": batch_size})
        self.tool = f"PP-OCRv6 small recogniser (CTC), rapidocr {version('rapidocr')}"
        self.pipeline = (
            f"box and {margin:g} of its height around it, whole pixels, clipped to the image; BGR, 48 pixels high "
            "(bilinear), padded with 0 to 320 at least, (x / 255 - 0.5) / 0.5"
        )

    @cached_property
    def characters(self) -> frozenset[str]:
        """What it can read."""
        from onnxruntime import InferenceSession

        found = InferenceSession(model_file(RECOGNISER_FILE)).get_modelmeta().custom_metadata_map["character"]
        return frozenset(found.splitlines()) | {" "}

    def judge(self, images: Tensor, regions: Regions) -> list[Reading]:
        """Return one reading per region of images (B, 3, H, W) in [-1, 1], in their order.

        Raises:
            InputError: Images or regions that do not fit.
        """
        crops = crops_of(images, regions, self.margin)
        readings = [Reading("", 0.0)] * len(crops)
        for group in groups(crops):
            found = self.engine.recognize_txt([crops[i] for i in group])
            for i, text, score in zip(group, found.txts or (), found.scores, strict=True):
                if text.strip():
                    readings[i] = Reading(text.strip(), float(score))
        return readings


def crops_of(images: Tensor, regions: Regions, margin: float = 0.0) -> list[Pixels]:
    """Return what regions show, in their order, (h, w, 3) of BGR bytes each; those with corners are brought upright.

    Args:
        images: Images (B, 3, H, W) in [-1, 1].
        regions: Regions in them.
        margin: Added around a word on each side, as a share of its height.

    Raises:
        InputError: Images or regions that do not fit.
    """
    check_images(images, "images")
    check_regions(regions, images)
    pixels = to_bgr(images)
    boxes, owners = regions.boxes.detach().cpu().tolist(), regions.image_index.cpu().tolist()
    upright = upright_crops(images, regions, margin)
    places = enumerate(zip(owners, boxes, strict=True))
    return [
        to_bgr(upright[number][None])[0] if number in upright else cut(pixels[owner], box, margin)
        for number, (owner, box) in places
    ]


def cut(image: Pixels, box: list[float], margin: float) -> Pixels:
    """Return the pixels (h, w, 3) of a box x1, y1, x2, y2 and some of its height around it, clipped to the image."""
    height, width = image.shape[:2]
    margin *= box[3] - box[1]
    x1, y1 = (max(math.floor(v - margin), 0) for v in box[:2])
    x2, y2 = min(math.ceil(box[2] + margin), width), min(math.ceil(box[3] + margin), height)
    return np.ascontiguousarray(image[y1:y2, x1:x2])


def groups(crops: list[Pixels]) -> list[list[int]]:
    """Return the crops' numbers in groups that the recogniser may pad to one width.

    Crops up to 48 x 320 are all padded to that; each wider one goes alone, so that no reading depends on neighbours.
    """
    narrow = [i for i, crop in enumerate(crops) if crop.shape[1] / crop.shape[0] <= ASPECT]
    wide = [[i] for i, crop in enumerate(crops) if crop.shape[1] / crop.shape[0] > ASPECT]
    return [narrow, *wide] if narrow else wide
