"""Extractors: images + Regions -> crops."""
