"""Pixel distances between a reconstruction and its target."""

from __future__ import annotations

from torch import Tensor


def l1(reconstruction: Tensor, target: Tensor) -> Tensor:
    """Return the mean over all elements of |y - x|, 0-d, for images (B, 3, H, W)."""
    return (reconstruction - target).abs().mean()


def l2(reconstruction: Tensor, target: Tensor) -> Tensor:
    """Return the mean over all elements of (y - x)^2, 0-d, for images (B, 3, H, W)."""
    return (reconstruction - target).square().mean()


def edges(reconstruction: Tensor, target: Tensor) -> Tensor:
    """Return the L1 distance of differences between neighbouring pixels, rows and columns summed, 0-d.

    mean |d_h (y - x)| + mean |d_w (y - x)|: a cheap stand-in for a perceptual trunk, it keeps strokes sharp.
    """
    error = reconstruction - target
    return error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
