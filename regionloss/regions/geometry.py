"""What happens to an image's regions when the image is cropped, resized or mirrored."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from regionloss.errors import InputError, expected
from regionloss.regions.regions import Regions

Draws = torch.Generator | Sequence[torch.Generator] | None


def crop(regions: Regions, window: tuple[int, int, int, int]) -> Regions:
    """Return the regions of a window of the image; those that lie outside it are left out.

    Boxes are not clipped: what part of a region is still visible decides whether it is kept (`RegionFilter`).

    Args:
        regions: Regions of whole images.
        window: `(top, left, height, width)` in pixels, the same for all images.
    """
    top, left, height, width = window
    boxes = regions.boxes - regions.boxes.new_tensor([left, top, left, top])
    inside = (boxes[:, 2:] > 0).all(1) & (boxes[:, 0] < width) & (boxes[:, 1] < height)
    kept = regions.select(inside)
    corner = boxes.new_tensor([left, top])
    points = {name: value - corner for name, value in places(kept).items()}
    return kept.changed(boxes=boxes[inside], image_size=(height, width), **points)


def resize(regions: Regions, size: tuple[int, int]) -> Regions:
    """Return the regions of images resized to `size` (height, width), pixels."""
    scale = regions.boxes.new_tensor([size[1] / regions.image_size[1], size[0] / regions.image_size[0]])
    points = {name: value * scale for name, value in places(regions).items()}
    return regions.changed(boxes=regions.boxes * scale.repeat(2), image_size=size, **points)


def places(regions: Regions) -> dict[str, Tensor]:
    """Return what a region has of points (R, K, 2), by field."""
    found = {"keypoints": regions.keypoints, "quads": regions.quads}
    return {name: points for name, points in found.items() if points is not None}


def hflip(regions: Regions, flip_pairs: Sequence[tuple[int, int]] | None = None) -> Regions:
    """Return the regions of images mirrored left to right.

    Corners of a quadrilateral are named as what is seen then: the upper left one was the upper right one.

    Args:
        regions: Regions of the images before.
        flip_pairs: Keypoints that swap, as the region kind names them; needed where there are keypoints.

    Raises:
        InputError: Keypoints without pairs: a mirrored face has its left eye on the other side.
    """
    width = regions.image_size[1]
    x1, y1, x2, y2 = regions.boxes.unbind(1)
    boxes = torch.stack([width - x2, y1, width - x1, y2], 1)
    points = regions.keypoints
    if points is not None:
        if flip_pairs is None:
            advice = f"See regionloss.hooks.catalogue.catalogue().region_kind('{regions.kind}').flip_pairs."
            raise InputError(expected("hflip", "flip_pairs, as the regions have keypoints", "none", advice))
        points = mirrored(points, width, flip_pairs)
    quads = None if regions.quads is None else mirrored(regions.quads, width, ((0, 1), (2, 3)))
    return regions.changed(boxes=boxes, keypoints=points, quads=quads)


def mirrored(points: Tensor, width: int, flip_pairs: Sequence[tuple[int, int]]) -> Tensor:
    """Return points (R, K, 2) in a mirrored image, left and right ones swapped."""
    order = list(range(points.shape[1]))
    for left, right in flip_pairs:
        order[left], order[right] = right, left
    flipped = points[:, order].clone()
    flipped[..., 0] = width - flipped[..., 0]
    return flipped


def uniform(regions: Regions, generator: Draws = None) -> Tensor:
    """Return (R,) random numbers in [0, 1), one a region.

    Args:
        regions: Regions on a CPU.
        generator: One for all, or one for each image: then what an image draws does not depend on the others.

    Raises:
        InputError: Another number of generators than of images.
    """
    if generator is None or isinstance(generator, torch.Generator):
        return torch.rand(len(regions), generator=generator)
    if regions.num_images is not None and len(generator) != regions.num_images:
        got = f"{len(generator)} for {regions.num_images} images"
        raise InputError(expected("generator", "one, or one for each image", got))
    drawn = torch.empty(len(regions))
    for image, own in enumerate(generator):
        mine = regions.image_index == image
        drawn[mine] = torch.rand(int(mine.sum()), generator=own)
    return drawn


def drop(regions: Regions, probability: float, generator: Draws = None) -> Regions:
    """Return the regions less each with this probability (InsightTok, Table 9)."""
    return regions.select(uniform(regions, generator) >= probability)


def limit(
    regions: Regions,
    per_image: int | None = None,
    per_batch: int | None = None,
    choose: str = "largest",
    generator: Draws = None,
) -> Regions:
    """Return at most so many regions, per image and in all: the largest, or a random choice.

    Args:
        regions: Regions on a CPU.
        per_image: Most regions that an image keeps.
        per_batch: Largest number of regions of all images together.
        choose: Regions that stay: the `"largest"`, or `"random"` ones.
        generator: Source of the random choice; one for all, or one for each image.

    Raises:
        InputError: Another word than these two.
    """
    if choose not in ("largest", "random"):
        raise InputError(expected("limit.choose", "'largest' or 'random'", repr(choose)))
    rank = regions.areas if choose == "largest" else uniform(regions, generator)
    order = rank.argsort(descending=True, stable=True)
    if per_image is not None:
        index = regions.image_index[order]
        earlier = (index[:, None] == index[None, :]).tril(-1).sum(1)
        order = order[earlier < per_image]
    return regions.select(order[:per_batch].sort().values)
