"""Weighted distances of regions -> one number."""

from __future__ import annotations

from torch import Tensor

from regionloss.errors import InputError, expected
from regionloss.tensors import full_precision

REDUCTIONS = ("image_mean", "sum", "none")


class Reduction:
    """Sums over an image's regions and averages over the images of the batch, those without regions included.

    With equally many images on every rank, data-parallel averaging of this is exact and needs no communication.

    Args:
        mode: `"image_mean"` (eq. 5, then the mean over images), `"sum"` over all regions, or `"none"`.

    Source: InsightTok, eq. 5.
    """

    def __init__(self, mode: str = "image_mean") -> None:
        if not isinstance(mode, str) or mode not in REDUCTIONS:
            raise InputError(expected("reduction", "'image_mean', 'sum' or 'none'", repr(mode)))
        self.mode = mode

    def __call__(self, values: Tensor, num_images: int) -> Tensor:
        """Return a 0-d tensor, or `values` (R,) themselves for `"none"`."""
        if self.mode == "none":
            return values
        return values.sum() / max(num_images, 1) if self.mode == "image_mean" else values.sum()


def attached_zeros(reconstruction: Tensor) -> Tensor:
    """Return no values, (0,), attached to the graph: a rank without regions still takes part in `backward()`."""
    return full_precision(reconstruction[:0].flatten())
