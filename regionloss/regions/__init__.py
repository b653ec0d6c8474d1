"""Regions: the one type that every stage speaks, its layout, its geometry, and batches of it."""

from regionloss.regions.collation import join
from regionloss.regions.regions import Regions

__all__ = ["Regions", "join"]
