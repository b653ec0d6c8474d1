"""The image itself as its one region."""

from __future__ import annotations

import torch
from torch import Tensor

from regionloss.regions.layout import Largest, Layout
from regionloss.regions.regions import Regions
from regionloss.tensors import constants


class WholeImageDetector:
    """Returns one region per image that covers it, of kind `whole_image`. Needs no network."""

    kind = "whole_image"
    version = "1"

    def detect(self, images: Tensor) -> Regions:
        """Return B regions of images (B, 3, H, W), on the images' device."""
        count, (height, width) = len(images), images.shape[2:]
        index = torch.arange(count, device=images.device)
        box = constants((0, 0, width, height), torch.empty(0, device=images.device))
        longest = max(height, width)
        side = box.new_full((count,), longest)
        layout = Layout(None, 1, index, torch.zeros_like(side), side, Largest(side=float(longest)))
        return Regions(self.kind, box.expand(count, 4), index, (height, width), count, layout=layout)
