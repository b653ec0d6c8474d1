"""Formats of annotations that are imported and exported."""
