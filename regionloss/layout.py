"""Layout: what the host knows of a batch of regions, so that no step has to ask the device."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Layout:
    """Regions arranged as a grid of `len(images)` rows by `slots` columns.

    Sampling reads a batch of images and writes, per image, a fixed number of crops. That needs three numbers on the
    host. They are taken at collation, where the boxes are on a CPU, and travel with the regions.

    Args:
        images: (N,) int64, the images that have regions; None for all of them, in order.
        slots: Most regions that any image has.
        slot: (R,) int64, position of each region in the flattened grid.
        max_side: Longest side of any box, pixels.
        max_spread: Largest root mean square distance of a region's keypoints from their centre, pixels; 0 without.
    """

    images: Tensor | None
    slots: int
    slot: Tensor
    max_side: float
    max_spread: float = 0.0

    @classmethod
    def of(cls, boxes: Tensor, image_index: Tensor, keypoints: Tensor | None) -> Layout:
        """Measure regions whose tensors are on a CPU."""
        if len(boxes) == 0:
            return cls(image_index, 0, image_index, 0.0)
        images, row = torch.unique(image_index, return_inverse=True)
        slots = int(row.bincount().max())
        return cls(
            images,
            slots,
            row * slots + rank_in_image(image_index),
            float((boxes[:, 2:] - boxes[:, :2]).max()),
            0.0 if keypoints is None else max_spread(keypoints),
        )

    @classmethod
    def unknown(cls, image_index: Tensor, image_size: tuple[int, int]) -> Layout:
        """Bound what cannot be read without waiting for the device: any image may hold all regions, any size."""
        slots = image_index.shape[0]
        longest = float(max(image_size))
        return cls(None, slots, image_index * slots + rank_in_image(image_index), longest, longest / 2)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Layout:
        """Return the layout with its tensors on another device; its numbers stay on the host."""
        images = None if self.images is None else self.images.to(device, non_blocking=non_blocking)
        return replace(self, images=images, slot=self.slot.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Layout:
        """Return the layout in page-locked memory."""
        images = None if self.images is None else self.images.pin_memory()
        return replace(self, images=images, slot=self.slot.pin_memory())


def rank_in_image(image_index: Tensor) -> Tensor:
    """Return (R,) how many earlier regions share the region's image."""
    same = image_index[:, None] == image_index[None, :]
    return same.tril(-1).sum(1)


def max_spread(keypoints: Tensor) -> float:
    """Return the largest root mean square distance of known keypoints from their centre, pixels."""
    centred = keypoints - keypoints.nanmean(1, keepdim=True)
    spread = centred.square().sum(-1).nanmean(1).sqrt()
    return float(spread.nan_to_num(0.0).max())
