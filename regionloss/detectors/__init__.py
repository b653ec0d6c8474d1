"""Detectors: images -> Regions."""

from regionloss.detectors.base import Detector

__all__ = [
    "Detector",
]
