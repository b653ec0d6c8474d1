"""Extractors: images + Regions -> crops."""

from regionloss.extractors.aligned import AlignedExtractor
from regionloss.extractors.base import RegionExtractor
from regionloss.extractors.letterbox import LetterboxExtractor
from regionloss.extractors.quadrilateral import RectifiedExtractor
from regionloss.extractors.resize import ResizeExtractor
from regionloss.extractors.similarity import fit_similarity
from regionloss.extractors.upright import upright_crops
from regionloss.extractors.whole_image import WholeImageExtractor

__all__ = [
    "AlignedExtractor",
    "LetterboxExtractor",
    "RectifiedExtractor",
    "RegionExtractor",
    "ResizeExtractor",
    "WholeImageExtractor",
    "fit_similarity",
    "upright_crops",
]
