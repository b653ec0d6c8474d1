"""Originals beside their reconstructions: what every benchmark is given, whatever tokenizer made them."""

from regionloss.evaluation.pairs.pair import Instance, Original, Originals, Pair, Reconstruction, Reconstructions

__all__ = [
    "Instance",
    "Original",
    "Originals",
    "Pair",
    "Reconstruction",
    "Reconstructions",
]
