"""Measures of pixels: PSNR of images, inside and outside of regions."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from regionloss.errors import InputError, expected
from regionloss.regions.regions import Regions


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
    for i, (x1, y1, x2, y2) in zip(kept.image_index.tolist(), kept.boxes.tolist(), strict=True):
        mask[i, 0, _first_centre(y1) : _first_centre(y2), _first_centre(x1) : _first_centre(x2)] = True
    return mask


def _first_centre(edge: float) -> int:
    """Return the first pixel whose centre lies at an edge or beyond; 0 for edges before the image."""
    return max(0, math.ceil(edge - 0.5))
