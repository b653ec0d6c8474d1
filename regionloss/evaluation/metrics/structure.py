"""Structural similarity of images."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from regionloss.errors import InputError, expected
from regionloss.tensors import full_precision

SIDE, SIGMA = 11, 1.5
C1, C2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2  # for values that span 2


def ssim(reconstruction: Tensor, target: Tensor) -> Tensor:
    """Return the structural similarity of each image: mean over channels and positions, 1 for equal images.

    A Gaussian window of 11 x 11 pixels (sigma 1.5) with its centre at every pixel, the image mirrored at its borders,
    as torchmetrics has it; scikit-image leaves out a border of 5 pixels instead.

    Args:
        reconstruction: (B, C, H, W) in [-1, 1]; what lies outside is clipped, as a viewer would.
        target: (B, C, H, W) in [-1, 1].

    Returns:
        (B,) float64.

    Raises:
        InputError: Other shapes, or a side that is shorter than the window.

    Source: Wang et al. (2004), "Image Quality Assessment: From Error Visibility to Structural Similarity".
    """
    if reconstruction.shape != target.shape:
        got = f"{tuple(reconstruction.shape)} and {tuple(target.shape)}"
        raise InputError(expected("ssim", "reconstruction and target of one shape", got))
    height, width = target.shape[-2:]
    if min(height, width) < SIDE:
        raise InputError(expected("ssim", f"images of {SIDE} pixels a side or more", f"{height} x {width}"))
    return torch.stack(
        [torch.stack(list(map(_similarity, *pair))).mean() for pair in zip(reconstruction, target, strict=True)]
    )


def _similarity(reconstruction: Tensor, target: Tensor) -> Tensor:
    """Return the mean similarity of one channel (H, W), 0-d float64; channels are apart for the memory's sake."""
    x, y = (full_precision(one).clamp(-1, 1) for one in (reconstruction, target))
    first, second, squares, products = _smoothed(torch.stack([x, y, x * x + y * y, x * y]))
    square_of_means, product_of_means = first * first + second * second, first * second
    variances, covariance = (squares - square_of_means).clamp(min=0), products - product_of_means
    above = (2 * product_of_means + C1) * (2 * covariance + C2)
    mean: Tensor = (above / ((square_of_means + C1) * (variances + C2))).double().mean()
    return mean


def _smoothed(maps: Tensor) -> Tensor:
    """Return Gaussian means around every pixel of maps (N, H, W).

    Sums of shifted maps: on a CPU several times as fast as a convolution of one channel.
    """
    half = SIDE // 2
    offsets = torch.arange(-half, half + 1, dtype=torch.float64)
    window = torch.exp(-((offsets / SIGMA) ** 2) / 2)
    weights = (window / window.sum()).tolist()
    for dim, pad in ((1, (0, 0, half, half)), (2, (half, half, 0, 0))):
        length = maps.shape[dim]
        padded = F.pad(maps, pad, mode="reflect")
        maps = weights[half] * padded.narrow(dim, half, length)
        for offset in (*range(half), *range(half + 1, SIDE)):
            maps.add_(padded.narrow(dim, offset, length), alpha=weights[offset])
    return maps
