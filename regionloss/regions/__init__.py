"""Regions: the one type that every stage speaks, its layout, its geometry, and batches of it."""

from regionloss.regions.collation import RegionFilter, collate_regions, join
from regionloss.regions.geometry import crop, hflip, resize
from regionloss.regions.quads import clockwise, lying
from regionloss.regions.regions import Regions

__all__ = [
    "RegionFilter",
    "Regions",
    "clockwise",
    "collate_regions",
    "crop",
    "hflip",
    "join",
    "lying",
    "resize",
]
