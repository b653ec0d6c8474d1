"""Directions of edges, and how well a template's agree with a picture's."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

#: Change between neighbouring pixels, of values in [0, 1], that counts half as an edge.
FAINT = 0.02


def directions(images: Tensor) -> Tensor:
    """Return the directions of edges as vectors (B, 2, H, W) at the doubled angle, of length 0 (flat) to 1.

    At the doubled angle light on dark equals dark on light. Channels add up their squared changes, so that an edge
    between colours of equal brightness is one too.

    Args:
        images: (B, C, H, W), values in [0, 1].
    """
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    gx = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    gy = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    tensor = torch.stack([gx.square().sum(1), gy.square().sum(1), (gx * gy).sum(1)], 1)
    # A little spread: a template fits although its edges are a pixel off.
    xx, yy, xy = F.avg_pool2d(F.pad(tensor, (1, 1, 1, 1), mode="replicate"), 3, 1).unbind(1)
    return torch.stack([xx - yy, 2 * xy], 1) / (xx + yy + FAINT**2)[:, None]


def agreement(picture: Tensor, templates: Tensor) -> Tensor:
    """Return how well the edges of templates lie on a picture's at every place, (K, H - h + 1, W - w + 1), at most 1.

    Args:
        picture: Directions (2, H, W) of the picture's edges.
        templates: Directions (K, 2, h, w) of the templates' edges; no template is larger than the picture.
    """
    size = [fast(side) for side in picture.shape[1:]]
    product = torch.fft.rfft2(picture, s=size)[None] * torch.fft.rfft2(templates, s=size).conj()
    found = torch.fft.irfft2(product.sum(1), s=size)
    rows, columns = (picture.shape[i] - templates.shape[i + 1] + 1 for i in (1, 2))
    fit: Tensor = found[:, :rows, :columns] / templates.norm(dim=1).sum((1, 2))[:, None, None]
    return fit


def fast(side: int) -> int:
    """Return the next number of pixels that transforms fast."""
    step = 1 << max(side.bit_length() - 4, 0)
    return -(-side // step) * step
