"""Crops of instances that people look at, as WebP."""

from __future__ import annotations

import io
import math

from PIL import Image
from torch import Tensor

from regionloss.data.images.files import to_image
from regionloss.evaluation.pairs.pair import Instance, regions_of
from regionloss.extractors.upright import upright_crops

#: Share of a box's height around it, least number of pixels there, and longest side of a crop.
MARGIN, LEAST, LONGEST = 0.15, 2, 256
QUALITY = 90


def crop(image: Tensor, instance: Instance) -> bytes | None:
    """Return what an instance of an image shows, with a margin, as WebP; None where no pixel is in its box.

    What has corners is brought upright, as judges see it.

    Args:
        image: Image (3, H, W) in [-1, 1].
        instance: Where it is.
    """
    box, (height, width) = instance.box, image.shape[1:]
    margin = max(LEAST, MARGIN * (box[3] - box[1]))
    left, top = (max(0, math.floor(value - margin)) for value in box[:2])
    right, bottom = min(width, math.ceil(box[2] + margin)), min(height, math.ceil(box[3] + margin))
    if left >= right or top >= bottom:
        return None
    shown = image[:, top:bottom, left:right]
    if instance.quad is not None:
        shown = upright_crops(image[None], regions_of([instance], instance.kind, (height, width)), MARGIN)[0]
    picture = to_image(shown)
    picture.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    picture.save(stream, format="WEBP", quality=QUALITY)
    return stream.getvalue()
