"""Measures of reconstructions, as plain functions of texts, pixels and features."""

from regionloss.evaluation.metrics.features import cosine
from regionloss.evaluation.metrics.interval import Interval, bootstrap
from regionloss.evaluation.metrics.pixels import psnr, region_mask
from regionloss.evaluation.metrics.texts import edit_similarity, exact, levenshtein

__all__ = [
    "Interval",
    "bootstrap",
    "cosine",
    "edit_similarity",
    "exact",
    "levenshtein",
    "psnr",
    "region_mask",
]
