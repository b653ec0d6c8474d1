"""Crops of hands: wrist and knuckles brought onto a template, left and right alike."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from regionloss import AlignedExtractor
from regionloss.checks import size_of
from regionloss.errors import InputError, expected
from regionloss.regions import Regions
from regionloss_hands.keypoints import INDEX_KNUCKLE, KEYPOINTS, KNUCKLES, PINKY_KNUCKLE, SIDE, SPREAD, TEMPLATE, WRIST


class HandExtractor(AlignedExtractor):
    """Aligns wrist and knuckles to a template by a similarity; hands of the other side are mirrored first.

    In every crop the fingers point up and the thumb is on the left. Which way a hand has to be turned over is read from
    its keypoints: from the wrist, the knuckle of the index finger lies clockwise or counter-clockwise of the little
    finger's. So a mirror image with mirrored keypoints gives the same crops.

    Args:
        size: Height and width of the crops, pixels.
        padding: `"border"` repeats the image's border (as MediaPipe does), `"black"` reads -1 outside.

    Raises:
        InputError: An option outside its range.
    """

    def __init__(self, size: tuple[int, int] = (SIDE, SIDE), padding: str = "border") -> None:
        height, width = size_of(size, "hands.size")
        scale = min(height, width) / SIDE
        middle = (width / 2, height / 2)
        template = [[(v - SIDE / 2) * scale + m for v, m in zip(point, middle, strict=True)] for point in TEMPLATE]
        super().__init__(template, (height, width), padding)
        # A region's spread is that of all its keypoints.
        self.template_spread = SPREAD * scale

    def to_image(self, regions: Regions, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return `T^-1`: matrix (R, 2, 2) and offset (R, 2) from crop pixels to image pixels."""
        keypoints = regions.keypoints
        if keypoints is None or keypoints.shape[1] != len(KEYPOINTS):
            got = "none" if keypoints is None else str(keypoints.shape[1])
            where, wanted = f"regions['{regions.kind}'].keypoints", f"{len(KEYPOINTS)} keypoints a hand"
            raise InputError(expected(where, wanted, got, "Use the detector 'hands/mediapipe', or a box extractor."))
        side = thumb_side(keypoints)
        signs = torch.stack([side, torch.ones_like(side)], -1)
        palm = torch.cat([keypoints[:, WRIST, None], keypoints[:, KNUCKLES]], 1) * signs[:, None]
        matrix, offset = super().to_image(replace(regions, keypoints=palm), dtype)
        signs = signs.to(dtype)
        return matrix * signs[..., None], offset * signs


def thumb_side(keypoints: Tensor) -> Tensor:
    """Return (R,) 1 where the thumb is on the left of upright fingers, and -1 where it is on the right.

    Hands whose wrist or outer knuckles are not known count as 1. Seen edge-on the answer is a matter of pixels, but the
    same for reconstruction and target.
    """
    index, pinky = (keypoints[:, n] - keypoints[:, WRIST] for n in (INDEX_KNUCKLE, PINKY_KNUCKLE))
    turn = index[:, 0] * pinky[:, 1] - index[:, 1] * pinky[:, 0]
    return torch.where(turn < -1e-5, -1.0, 1.0).to(keypoints.dtype)
