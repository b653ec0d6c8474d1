"""Originals beside their reconstructions: what every benchmark is given, whatever tokenizer made them."""

from regionloss.evaluation.pairs.columns import read_columns
from regionloss.evaluation.pairs.images import instances_of
from regionloss.evaluation.pairs.open import open_originals
from regionloss.evaluation.pairs.pair import (
    Instance,
    Original,
    Originals,
    Pair,
    Reconstruction,
    Reconstructions,
    regions_of,
)
from regionloss.evaluation.pairs.reconstructions import AutoencoderReconstructions, ReconstructionFolder

__all__ = [
    "AutoencoderReconstructions",
    "Instance",
    "Original",
    "Originals",
    "Pair",
    "Reconstruction",
    "ReconstructionFolder",
    "Reconstructions",
    "instances_of",
    "open_originals",
    "read_columns",
    "regions_of",
]
