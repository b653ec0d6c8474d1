"""Batches by number: sources, mixtures, orders and the loader."""

from regionloss.data.batches.batch import Batch, BatchSource, Blend, Mixture, Sample, Samples, Source
from regionloss.data.batches.image_source import ImageSource
from regionloss.data.batches.loader import BatchLoader, Share
from regionloss.data.batches.order import Interleave, ShardOrder
from regionloss.data.batches.random_streams import permutation, stream
from regionloss.data.batches.stripes import Stripes

__all__ = [
    "Batch",
    "BatchLoader",
    "BatchSource",
    "Blend",
    "ImageSource",
    "Interleave",
    "Mixture",
    "Sample",
    "Samples",
    "ShardOrder",
    "Share",
    "Source",
    "Stripes",
    "permutation",
    "stream",
]
