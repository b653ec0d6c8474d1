"""Weightings: Regions -> (R,)."""
