"""Small things that several stages do to tensors."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def constants(values: Sequence[float], like: Tensor) -> Tensor:
    """Return a few numbers (N,) on a tensor's device and in its precision.

    `torch.tensor(values, device=...)` would copy from the host and wait for the device; filling does not.
    """
    return torch.stack([like.new_full((), value) for value in values])


def working_dtype(tensor: Tensor) -> torch.dtype:
    """Return the precision to sample and compare in: float64 for float64, else float32."""
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32


def full_precision(tensor: Tensor) -> Tensor:
    """Return a tensor in float32 at least: squares of half precision overflow."""
    return tensor.to(working_dtype(tensor))


def rescaled(images: Tensor, given: Sequence[float], wanted: Sequence[float] = (-1.0, 1.0)) -> Tensor:
    """Return images of one range in another. Nothing is clamped: that would kill the gradient of saturated pixels."""
    (low, high), (bottom, top) = given, wanted
    return images if (low, high) == (bottom, top) else (images - low) * ((top - bottom) / (high - low)) + bottom


def without_autocast(like: Tensor) -> AbstractContextManager[object]:
    """Return a context in which matrix products keep their precision: geometry in bfloat16 is off by pixels."""
    device = like.device.type
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()
