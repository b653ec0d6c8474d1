"""Distances: features x features -> (R,)."""
