"""Measures of reconstructions, as plain functions of texts, pixels, features and codes."""

from regionloss.evaluation.metrics.codes import bits_per_pixel, count_codes, perplexity, usage
from regionloss.evaluation.metrics.features import cosine
from regionloss.evaluation.metrics.interval import Interval, bootstrap
from regionloss.evaluation.metrics.pixels import psnr, region_mask
from regionloss.evaluation.metrics.sets import Moments, frechet_distance, kernel_distance, moments
from regionloss.evaluation.metrics.structure import ssim
from regionloss.evaluation.metrics.texts import edit_similarity, exact, levenshtein

__all__ = [
    "Interval",
    "Moments",
    "bits_per_pixel",
    "bootstrap",
    "cosine",
    "count_codes",
    "edit_similarity",
    "exact",
    "frechet_distance",
    "kernel_distance",
    "levenshtein",
    "moments",
    "perplexity",
    "psnr",
    "region_mask",
    "ssim",
    "usage",
]
