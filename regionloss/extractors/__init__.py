"""Extractors: images + Regions -> crops."""

from regionloss.extractors.aligned import AlignedExtractor
from regionloss.extractors.base import RegionExtractor
from regionloss.extractors.similarity import fit_similarity

__all__ = [
    "AlignedExtractor",
    "RegionExtractor",
    "fit_similarity",
]
