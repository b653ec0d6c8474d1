"""Writes what the docs take from the code."""
