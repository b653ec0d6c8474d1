"""The one place that draws: boxes on images, what terms see, grids of samples."""

from regionloss.pictures.boxes import annotated, save, sheet
from regionloss.pictures.grid import sample_grid

__all__ = [
    "annotated",
    "sample_grid",
    "save",
    "sheet",
]
