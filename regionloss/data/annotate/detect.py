"""Detectors on pictures of similar size: batches in, entries of side-cars out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch

from regionloss.data.annotate.decode import Picture
from regionloss.data.images.files import scaled
from regionloss.data.sidecars.entries import Entries, entries_of
from regionloss.detectors.base import Detector

BATCH_PIXELS = 16 << 20
WAITING_PIXELS = 64 << 20


Group = tuple[tuple[int, ...], tuple[int, ...]]


def batches(
    pictures: Iterable[tuple[Picture, tuple[int, ...]]], batch: int
) -> Iterator[tuple[tuple[int, ...], list[Picture]]]:
    """Yield pictures of one shape in batches, with the numbers of the detectors that shall look at them.

    A bounded number waits for others of its shape: when there are more, the largest group goes as it is. What is put
    together depends on the order of the pictures alone.

    Args:
        pictures: Decoded images, each with the numbers of the detectors that have not looked at it yet.
        batch: Most pictures of a batch; large ones come in smaller batches.
    """
    waiting: dict[Group, list[Picture]] = {}
    pixels = 0
    for picture, missing in pictures:
        area = picture.pixels.shape[0] * picture.pixels.shape[1]
        group = (picture.pixels.shape[:2], missing)
        waiting.setdefault(group, []).append(picture)
        pixels += area
        if len(waiting[group]) * area + area > BATCH_PIXELS or len(waiting[group]) >= batch:
            full = group
        elif pixels > WAITING_PIXELS:
            full = max(waiting, key=lambda g: len(waiting[g]) * g[0][0] * g[0][1])
        else:
            continue
        ready = waiting.pop(full)
        pixels -= len(ready) * full[0][0] * full[0][1]
        yield full[1], ready
    for group, ready in waiting.items():
        yield group[1], ready


def to_batch(pictures: Sequence[Picture], device: str) -> torch.Tensor:
    """Return pictures of one shape as (B, 3, H, W) in [-1, 1] on a device."""
    stacked = torch.from_numpy(np.stack([picture.pixels for picture in pictures]))
    return scaled(stacked.to(device).permute(0, 3, 1, 2))


def look(detector: Detector, name: str, pictures: Sequence[Picture], images: torch.Tensor) -> list[Entries | str]:
    """Return what a detector finds in each picture, or the sentence that says why it could not look.

    A batch that it cannot look at is halved until the pictures are found that it cannot look at.

    Args:
        detector: Detector that looks at the images.
        name: Name of the detector in the side-car.
        pictures: B of them, of one shape.
        images: (B, 3, H, W), the same.
    """
    try:
        return [*entries_of(detector.detect(images), name, [picture.shown for picture in pictures])]
    except Exception as error:
        if images.is_cuda:
            torch.cuda.empty_cache()
        if len(pictures) == 1:
            return [f"{name} could not look at it ({type(error).__name__}: {str(error).strip()[:500]})."]
    half = len(pictures) // 2
    first = look(detector, name, pictures[:half], images[:half])
    return first + look(detector, name, pictures[half:], images[half:])
