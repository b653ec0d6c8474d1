"""Crops of instances that people look at, as WebP."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

from PIL import Image
from torch import Tensor

from regionloss.data.images.files import to_image

#: Share of a box's height around it, least number of pixels there, and longest side of a crop.
MARGIN, LEAST, LONGEST = 0.15, 2, 256
QUALITY = 90


def crop(image: Tensor, box: Sequence[float]) -> bytes | None:
    """Return what a box of an image shows, with a margin, as WebP; None where no pixel of the image is in it.

    Args:
        image: Image (3, H, W) in [-1, 1].
        box: Corners `x1, y1, x2, y2`, pixels.
    """
    height, width = image.shape[1:]
    margin = max(LEAST, MARGIN * (box[3] - box[1]))
    left, top = (max(0, math.floor(value - margin)) for value in box[:2])
    right, bottom = min(width, math.ceil(box[2] + margin)), min(height, math.ceil(box[3] + margin))
    if left >= right or top >= bottom:
        return None
    picture = to_image(image[:, top:bottom, left:right])
    picture.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    picture.save(stream, format="WEBP", quality=QUALITY)
    return stream.getvalue()
