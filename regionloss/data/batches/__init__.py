"""Batches by number: sources, mixtures, orders and the loader."""

from regionloss.data.batches.batch import Batch, BatchSource, Blend, Mixture, Sample, Samples, Source
from regionloss.data.batches.image_source import ImageSource
from regionloss.data.batches.loader import BatchLoader, Share
from regionloss.data.batches.random_streams import permutation, stream

__all__ = [
    "Batch",
    "BatchLoader",
    "BatchSource",
    "Blend",
    "ImageSource",
    "Mixture",
    "Sample",
    "Samples",
    "Share",
    "Source",
    "permutation",
    "stream",
]
