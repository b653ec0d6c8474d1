"""Image files, and transforms that carry boxes and keypoints along."""

from regionloss.data.images.augment import Augment, Framing
from regionloss.data.images.degrade import degraded, parsed
from regionloss.data.images.files import (
    MOST_PIXELS,
    decoded,
    open_image,
    read_image,
    to_image,
    to_tensor,
    upright,
)
from regionloss.data.images.fit import fit, restore
from regionloss.data.images.transforms import (
    FlipPairs,
    central_window,
    cropped,
    jittered,
    mirrored,
    padded,
    random_window,
    window_around,
)

__all__ = [
    "MOST_PIXELS",
    "Augment",
    "FlipPairs",
    "Framing",
    "central_window",
    "cropped",
    "decoded",
    "degraded",
    "fit",
    "jittered",
    "mirrored",
    "open_image",
    "padded",
    "parsed",
    "random_window",
    "read_image",
    "restore",
    "to_image",
    "to_tensor",
    "upright",
    "window_around",
]
