"""Measures of a reconstruction: exact reading, edit distance, PSNR inside and outside regions, similarity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regionloss.errors import InputError, expected
from regionloss.regions.regions import Regions


def exact(read: str, truth: str) -> float:
    """Return 1 where a word was read exactly, capitals included, else 0; T-ACC is its mean.

    Source: InsightTok, section 4 (TokBench's T-ACC).
    """
    return float(read == truth)


def levenshtein(first: str, second: str) -> int:
    """Return the least number of insertions, deletions and substitutions that turn one text into the other."""
    # Late: of the measures this one alone needs the package (the extra `ref`).
    from rapidfuzz.distance import Levenshtein

    return Levenshtein.distance(first, second)


def edit_similarity(read: str, truth: str) -> float:
    """Return `1 - levenshtein / max(len)`, 1 for two empty texts; T-NED is its mean.

    Source: InsightTok, section 4 (TokBench's T-NED).
    """
    longest = max(len(read), len(truth))
    return 1.0 - levenshtein(read, truth) / longest if longest else 1.0


def psnr(reconstruction: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the peak signal-to-noise ratio of each image, `10 log10(4 / mean squared error)`, in dB.

    Args:
        reconstruction: (B, C, H, W) in [-1, 1]; what lies outside is clipped, as a viewer would.
        target: (B, C, H, W) in [-1, 1].
        mask: (B, 1, H, W) bool, the pixels that count; None for all.

    Returns:
        (B,) float64; infinite for equal images, NaN where no pixel counts.
    """
    if reconstruction.shape != target.shape:
        got = f"{tuple(reconstruction.shape)} and {tuple(target.shape)}"
        raise InputError(expected("psnr", "reconstruction and target of one shape", got))
    error = (reconstruction.double().clamp(-1, 1) - target.double().clamp(-1, 1)).square().mean(1, keepdim=True)
    weights = torch.ones_like(error) if mask is None else mask.to(error)
    mse = (error * weights).sum((1, 2, 3)) / weights.sum((1, 2, 3))
    return 10.0 * torch.log10(4.0 / mse)


def region_mask(regions: Regions, num_images: int | None = None) -> Tensor:
    """Return (B, 1, H, W) bool, the pixels whose centre lies in a valid region.

    Args:
        regions: Regions of any kind.
        num_images: B, where the regions do not say it.

    Raises:
        InputError: The number of images is known to neither.
    """
    count = regions.num_images if num_images is None else num_images
    if count is None:
        raise InputError(expected("region_mask", "the number of images", "None", "Give num_images."))
    height, width = regions.image_size
    kept = regions if regions.valid is None else regions.select(regions.valid)
    mask = torch.zeros(count, 1, height, width, dtype=torch.bool, device=kept.device)
    centre_x, centre_y = (torch.arange(side, device=kept.device) + 0.5 for side in (width, height))
    for i, (x1, y1, x2, y2) in zip(kept.image_index.tolist(), kept.boxes.tolist(), strict=True):
        rows = (centre_y >= y1) & (centre_y < y2)
        mask[i, 0] |= rows[:, None] & ((centre_x >= x1) & (centre_x < x2))
    return mask


def cosine(first: Tensor, second: Tensor) -> Tensor:
    """Return the cosine similarity of rows (R, D), in [-1, 1]; F-SIM is its mean over faces."""
    return torch.nn.functional.cosine_similarity(first, second, dim=-1)


@dataclass(frozen=True)
class Interval:
    """A mean with a range that holds it in 95 of 100 repetitions, by bootstrap.

    Args:
        mean: Mean of the values.
        low: 2.5th percentile of resampled means.
        high: 97.5th percentile of resampled means.
    """

    mean: float
    low: float
    high: float


def bootstrap(values: Sequence[float], groups: Sequence[int] | None = None, draws: int = 2000) -> Interval:
    """Return the mean of values with its 95% bootstrap interval.

    For a paired comparison give the differences. Words of one image fail together, so whole groups are drawn.

    Args:
        values: The N numbers whose mean is estimated.
        groups: The group (image) of each; None draws the values one by one.
        draws: Resamples; their randomness is fixed.

    Raises:
        InputError: No values.
    """
    if not values:
        raise InputError(expected("bootstrap", "one value at least", "none"))
    sums: dict[int, list[float]] = {}
    for group, value in zip(range(len(values)) if groups is None else groups, values, strict=True):
        entry = sums.setdefault(group, [0.0, 0.0])
        entry[0] += value
        entry[1] += 1
    pairs = torch.tensor(list(sums.values()), dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    picks = torch.randint(len(pairs), (draws, len(pairs)), generator=generator)
    drawn = pairs[picks].sum(1)
    means = drawn[:, 0] / drawn[:, 1]
    low, high = torch.quantile(means, torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return Interval(sum(values) / len(values), low, high)
