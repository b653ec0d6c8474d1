"""Detectors: images -> Regions. Detection is never implicit: regions come with the batch or from `detect`."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from regionloss.regions.regions import Regions


@runtime_checkable
class Detector(Protocol):
    """Finds regions of one kind.

    `kind` names it; `version` says which detector with which settings (it goes into side-cars).
    """

    kind: str
    version: str

    def detect(self, images: Tensor) -> Regions:
        """Return the regions of images (B, 3, H, W) in [-1, 1]; on the CPU, in continuous pixels, with scores."""
        ...
