"""Windows of images on a CPU: the pixels that regions read, whose gradients go where they came from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class Windows(torch.autograd.Function):
    """Copies windows of one size out of images.

    The images are passed on. Whoever reads more of them reads those: then one gradient of their size is made and added
    to, however many readers there are, where autograd would make one for each and add them up.
    """

    @staticmethod
    def forward(images: Tensor, corners: Sequence[Sequence[int]], height: int, width: int) -> tuple[Tensor, Tensor]:
        """Return windows (N, C, height, width) and the images.

        Args:
            images: Images (B, C, H, W).
            corners: Image, first row and first column of each window.
            height: Rows of a window.
            width: Columns of a window.
        """
        return torch.stack([window(images, corner, height, width) for corner in corners]), images

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: object) -> None:
        """Keep what the backward pass needs: where the windows lie, and no pixels."""
        ctx.shape, ctx.corners = inputs[0].shape, inputs[1]
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, windows: Tensor | None, images: Tensor | None) -> tuple[Tensor | None, None, None, None]:
        """Return the gradient of the images: that of those passed on, and the windows' where these lie."""
        if windows is None:
            return images, None, None, None
        # The images that were passed on have no reader but the extractor: their gradient is nobody else's.
        total = windows.new_zeros(ctx.shape) if images is None else images
        for own, corner in zip(windows, ctx.corners, strict=True):
            window(total, corner, *own.shape[1:]).add_(own)
        return total, None, None, None


def window(images: Tensor, corner: Sequence[int], height: int, width: int) -> Tensor:
    """Return a view of an image (C, height, width), from its image, row and column."""
    image, top, left = corner
    return images[image, :, top : top + height, left : left + width]
