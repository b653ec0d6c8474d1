"""Detectors: images -> Regions."""

from regionloss.detectors.base import Detector
from regionloss.detectors.whole_image import WholeImageDetector

__all__ = [
    "Detector",
    "WholeImageDetector",
]
