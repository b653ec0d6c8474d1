"""Losses: the whole flow, and named terms with weights."""

from regionloss.losses.balance import balance_lines, equal_weights
from regionloss.losses.region_perceptual import RegionPerceptualLoss
from regionloss.losses.terms import LossOutput, LossTerms, Term
from regionloss.losses.whole_image import PerceptualLoss
from regionloss.schedules import LAST_STEP, WeightSchedule, told

__all__ = [
    "LAST_STEP",
    "LossOutput",
    "LossTerms",
    "PerceptualLoss",
    "RegionPerceptualLoss",
    "Term",
    "WeightSchedule",
    "balance_lines",
    "equal_weights",
    "told",
]
