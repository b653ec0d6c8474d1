"""Losses: the whole flow, and named terms with weights."""

from regionloss.losses.region_perceptual import RegionPerceptualLoss
from regionloss.losses.terms import LossOutput, LossTerms, Term
from regionloss.losses.whole_image import PerceptualLoss

__all__ = [
    "LossOutput",
    "LossTerms",
    "PerceptualLoss",
    "RegionPerceptualLoss",
    "Term",
]
