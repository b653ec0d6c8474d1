"""Quadrilaterals (N, 4, 2): corners of what lies askew, clockwise as seen, from its upper left as read."""

from __future__ import annotations

import torch
from torch import Tensor

from regionloss.errors import InputError, expected
from regionloss.tensors import constants

TALL = 1.2  # of what is higher than so many times its width, one reads downwards


def edges(quads: Tensor) -> Tensor:
    """Return (N, 4, 2), the top, right, bottom and left edge as vectors, clockwise."""
    return quads.roll(-1, 1) - quads


def sides(quads: Tensor) -> Tensor:
    """Return (N, 2) width and height as read, pixels: of two opposite edges the longer one."""
    lengths = edges(quads).square().sum(2).sqrt()
    return torch.maximum(lengths[:, :2], lengths[:, 2:])


def lying(quads: Tensor, tall: float) -> tuple[Tensor, Tensor]:
    """Return quadrilaterals, those higher than `tall` times their width as if read downwards, and (N,) which ones."""
    width, height = sides(quads).unbind(1)
    turned = height > tall * width
    return torch.where(turned[:, None, None], quads.roll(-1, 1), quads), turned


def grown(quads: Tensor, margin: float) -> Tensor:
    """Return quadrilaterals with a share of their height more on each side, as far as they stay convex."""
    width, height = sides(quads)[..., None, None].unbind(1)
    across, down = quads[:, [1, 0, 3, 2]] - quads, quads[:, [3, 2, 1, 0]] - quads
    wider = clockwise(quads - margin * (height / width * across + down))
    return torch.where(wider.isnan(), quads, wider)


def hulls(quads: Tensor) -> Tensor:
    """Return (N, 4), the upright boxes around quadrilaterals."""
    return torch.cat([quads.amin(1), quads.amax(1)], 1)


def corners(boxes: Tensor) -> Tensor:
    """Return (N, 4, 2), the corners of upright boxes (N, 4)."""
    return boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].view(-1, 4, 2)


def known(quads: Tensor) -> Tensor:
    """Return (N,) whether all corners are known."""
    return quads.isfinite().flatten(1).all(1)


def is_clockwise(quads: Tensor) -> Tensor:
    """Return (N,) whether corners are those of a convex shape, clockwise as seen."""
    along = edges(quads)
    onward = along.roll(-1, 1)
    return (along[..., 0] * onward[..., 1] - along[..., 1] * onward[..., 0] > 0).all(1)


def clockwise(quads: Tensor) -> Tensor:
    """Return quadrilaterals clockwise, those that run the other way from the same corner; NaN for other shapes."""
    back = quads[:, [0, 3, 2, 1]]
    turned = torch.where(is_clockwise(back)[:, None, None], back, torch.nan)
    return torch.where(is_clockwise(quads)[:, None, None], quads, turned)


def areas(quads: Tensor) -> Tensor:
    """Return (N,) areas, square pixels."""
    across, down = quads[:, 2] - quads[:, 0], quads[:, 3] - quads[:, 1]
    return (across[:, 0] * down[:, 1] - across[:, 1] * down[:, 0]).abs() / 2


def areas_inside(quads: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Return (N,) areas of what lies in an image of `(H, W)` pixels.

    By Green's theorem it is the integral of x, held to [0, W], over y, held to [0, H], along the edges: each edge is
    cut to the rows of the image, and of what is left a share lies in the image, and a share to the right of it.
    """
    height, width = image_size
    start, along = quads, edges(quads)
    steep = along[..., 1].abs() > 0
    share = torch.stack([start[..., 1], start[..., 1] + along[..., 1]]).clamp(0, height) - start[..., 1]
    share = share / torch.where(steep, along[..., 1], 1)
    first, last = start[..., 0] + share * along[..., 0]
    held = (first.clamp(0, width) + last.clamp(0, width)) / 2
    length = (last - first).abs()
    inside = (last.clamp(0, width) - first.clamp(0, width)).abs()
    right = (last.clamp(min=width) - first.clamp(min=width)).abs()
    mean = torch.where(length > 0, (inside * held + right * width) / torch.where(length > 0, length, 1), held)
    # Along a closed line a constant adds nothing: less to round.
    cut = ((share[1] - share[0]) * along[..., 1] * (mean - mean[:, :1]) * steep).sum(1).abs()
    whole = ((quads >= 0) & (quads <= constants((width, height), quads))).flatten(1).all(1)
    return torch.where(whole, areas(quads), cut)


def check_quads(quads: Tensor, kind: str) -> None:
    """Raise InputError for corners of which no crop can be made; those of a region are all known, or all NaN."""
    wrong = ~(is_clockwise(quads) & known(quads) | quads.isnan().flatten(1).all(1))
    if bool(wrong.any()):
        first = int(wrong.nonzero()[0])
        got = [[round(v, 3) for v in corner] for corner in quads[first].tolist()]
        wanted = "four corners of a convex shape, clockwise from the upper left as read"
        raise InputError(expected(f"quads[{first}] ({kind})", wanted, str(got), "All NaN: the region is its box."))
