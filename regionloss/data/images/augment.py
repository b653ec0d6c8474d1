"""What is done to a picture of a training set: where it is cut, how large it becomes, mirror images, colours."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from PIL import Image

from regionloss.data.images.files import Decoded
from regionloss.data.images.transforms import (
    FlipPairs,
    Window,
    central_window,
    cropped,
    jittered,
    mirrored,
    padded,
    random_window,
    window_around,
)
from regionloss.errors import InputError, expected
from regionloss.regions.regions import Regions

Decode = Callable[[float], Decoded]


@dataclass(frozen=True)
class Augment:
    """A random crop of a picture as a square of one size, or its middle, or the whole of it on a square.

    Args:
        crop: `random`; `center`, the largest square in the middle; `pad`, the whole picture with grey beside it.
        area: Least and largest share of the largest square that a random crop covers.
        stretch: Largest ratio of a random crop's sides.
        around: Share of random crops that are laid around a region, where a picture has one.
        scale: Least and largest side of such a crop, as a multiple of the region's longer side.
        flip: Share of mirror images. Pictures with text regions are never mirrored: nobody could read them.
        jitter: Largest change of brightness, contrast and colour, as a share.

    Raises:
        InputError: A share outside [0, 1], or a range the wrong way round.
    """

    crop: Literal["random", "center", "pad"] = "random"
    area: tuple[float, float] = (0.25, 1.0)
    stretch: float = 1.15
    around: float = 0.0
    scale: tuple[float, float] = (1.2, 4.0)
    flip: float = 0.5
    jitter: float = 0.0

    def __post_init__(self) -> None:
        for name in ("around", "flip", "jitter"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(expected(f"augment.{name}", "a share from 0 to 1", str(getattr(self, name))))
        if not 0 < self.area[0] <= self.area[1] <= 1:
            raise InputError(expected("augment.area", "two shares, the smaller one first", str(self.area)))
        if not 0 < self.scale[0] <= self.scale[1]:
            raise InputError(expected("augment.scale", "two factors, the smaller one first", str(self.scale)))
        if self.stretch < 1:
            raise InputError(expected("augment.stretch", "1 or more", str(self.stretch)))
        if self.crop not in ("random", "center", "pad"):
            raise InputError(expected("augment.crop", "random, center or pad", repr(self.crop)))


@dataclass(frozen=True)
class Framing:
    """Applies an `Augment`: picture and regions -> square of one size and the regions that it shows.

    Args:
        size: Side of the result, pixels.
        augment: How images are scaled, cropped, mirrored and coloured at random.
        flip_pairs: Keypoints that swap in a mirror image, by kind (the registered kind names them).
    """

    size: int
    augment: Augment = Augment()
    flip_pairs: FlipPairs = field(default_factory=dict)

    def __call__(
        self,
        size: tuple[int, int],
        decode: Decode,
        regions: Mapping[str, Regions],
        rng: random.Random,
        mirrors: bool = True,
    ) -> tuple[Image.Image, dict[str, Regions]]:
        """Return the square and its regions.

        Args:
            size: `(H, W)` of the picture, known before it is decoded.
            decode: Decodes it, so many times smaller at most.
            regions: Regions of the picture by kind, in its pixels.
            rng: Source of random numbers; what is drawn is a function of its state.
            mirrors: Whether the picture may be mirrored; one with text regions is not in any case.
        """
        self.check_pairs(regions)
        window = self.window(size, regions, rng)
        copy = decode(min(window[2:]) / self.size / REDUCING_GAP)
        goal = (self.size, self.size)
        if self.augment.crop == "pad":
            ratio = self.size / max(size)
            goal = max(1, round(size[0] * ratio)), max(1, round(size[1] * ratio))
        top, left, height, width = window
        box = copy.box((left, top, left + width, top + height))
        image, shown = cropped(copy.image, regions, window, goal, box)
        if self.augment.crop == "pad":
            image, shown = padded(image, shown)
        if rng.random() < self.augment.flip and mirrors and not len(regions.get("text", ())):
            image, shown = mirrored(image, shown, self.flip_pairs)
        return jittered(image, rng, self.augment.jitter) if self.augment.jitter else image, shown

    def check_pairs(self, regions: Mapping[str, Regions]) -> None:
        """Raise InputError for keypoints of which nobody knows how they swap in a mirror image."""
        for kind, found in regions.items():
            if self.augment.flip and found.keypoints is not None and kind not in self.flip_pairs:
                advice = "Register the kind with its pairs (register_region_kinds), or say augment: {flip: 0}."
                wanted = f"flip_pairs for the keypoints of '{kind}'"
                raise InputError(expected("augment.flip", wanted, "none", advice))

    def window(self, size: tuple[int, int], regions: Mapping[str, Regions], rng: random.Random) -> Window:
        """Return where the picture of `size` (H, W) is cut."""
        if self.augment.crop == "pad":
            return 0, 0, *size
        if self.augment.crop == "center":
            return central_window(size)
        if rng.random() < self.augment.around:
            boxes = [box for found in regions.values() for box in found.boxes.tolist()]
            if boxes:
                return window_around(rng.choice(boxes), size, rng, self.augment.scale)
        return random_window(size, rng, self.augment.area, self.augment.stretch)


#: A picture is decoded at twice the resolution that is needed at least, as PIL's own thumbnails are.
REDUCING_GAP = 2.0
