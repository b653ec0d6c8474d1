"""Words that lie askew, brought upright one by one, as large as they are in the image: to be read, and looked at."""

from __future__ import annotations

import torch
from torch import Tensor

from regionloss.extractors.quadrilateral import RectifiedExtractor
from regionloss.regions import quads as shapes
from regionloss.regions.regions import Regions


@torch.no_grad()
def upright_crops(images: Tensor, regions: Regions, margin: float = 0.0) -> dict[int, Tensor]:
    """Return crops (3, h, w) of the regions that have corners, by their number, on the CPU; tall ones are turned.

    Args:
        images: Images (B, 3, H, W).
        regions: Regions of these images.
        margin: Added around a region on each side, as a share of its height.
    """
    if regions.quads is None:
        return {}
    held = regions.to("cpu")
    quads, _ = shapes.lying(regions.quads.detach().cpu().float(), shapes.TALL)
    quads = shapes.grown(quads, margin)
    crops = {}
    for number in shapes.known(quads).nonzero().flatten().tolist():
        quad, own = quads[number : number + 1], held.select(torch.tensor([number]))
        image = images[int(own.image_index)][None].float().cpu()
        width, height = (max(1, round(side)) for side in shapes.sides(quad)[0].tolist())
        word = own.changed(quads=quad, image_index=torch.zeros_like(own.image_index), num_images=1)
        crops[number] = RectifiedExtractor((height, width), tall=None)(image, word)[0]
    return crops
