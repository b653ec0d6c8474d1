"""Measures of a codebook: how much of it is used, how evenly, and how many bits an image takes."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from regionloss.errors import InputError, expected


def count_codes(ids: Tensor, codebook_size: int) -> np.ndarray:
    """Return how often each code occurs, (K,) int64: counts of images add up exactly.

    Args:
        ids: Codes in [0, K), integers of any shape.
        codebook_size: K, the number of codes.

    Raises:
        InputError: Codes that are no integers, or that the codebook does not have.
    """
    if ids.is_floating_point() or ids.is_complex():
        raise InputError(expected("codes", "integers", str(ids.dtype)))
    flat = ids.detach().flatten().cpu().numpy().astype(np.int64)
    if len(flat) and not (flat.min() >= 0 and flat.max() < codebook_size):
        raise InputError(expected("codes", f"numbers below {codebook_size}", f"{flat.min()} to {flat.max()}"))
    return np.bincount(flat, minlength=codebook_size)


def usage(counts: np.ndarray) -> float:
    """Return the share of codes (K,) that occur, in [0, 1]."""
    return float(np.count_nonzero(counts) / len(counts))


def perplexity(counts: np.ndarray) -> float:
    """Return `exp(-sum p log p)` of how often codes (K,) occur: K where all do equally, 1 where one does.

    Raises:
        InputError: No code occurs.
    """
    found = counts[counts > 0].astype(np.float64)
    if not len(found):
        raise InputError(expected("perplexity", "codes that occur", "none"))
    shares = found / counts.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def bits_per_pixel(tokens: float, codebook_size: int, pixels: float) -> float:
    """Return `tokens log2(K) / (H W)`.

    Args:
        tokens: Number of tokens of an image, or of several.
        codebook_size: K, the number of codes.
        pixels: H W of what was encoded, or their sum over as many images.

    Source: InsightTok, eq. 16.
    """
    return tokens * math.log2(codebook_size) / pixels
