"""Detectors: images -> Regions."""
