"""What reconstructions are worth: text that is still read, faces that are still recognised, pixels."""

from regionloss.evaluation.judges import build_judges
from regionloss.evaluation.metrics import psnr, region_mask

__all__ = [
    "build_judges",
    "psnr",
    "region_mask",
]
