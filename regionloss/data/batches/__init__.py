"""Batches by number: sources, mixtures, orders and the loader."""
