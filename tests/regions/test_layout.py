"""What the host knows of regions that it has not seen: bounds that no region inside an image exceeds."""

from __future__ import annotations

import math

import pytest
import torch

from regionloss.regions.layout import Layout, fixed_grid


@pytest.mark.parametrize("size", [(120, 200), (200, 120), (64, 64)])
def test_bounds_hold_for_the_largest_region_of_an_image(size: tuple[int, int]) -> None:
    """The whole image as a box, and keypoints in its opposite corners: half the diagonal away from their centre."""
    height, width = size
    boxes = torch.tensor([[0.0, 0, width, height]] * 3)
    corners = torch.tensor([[[0.0, 0], [width, height]], [[0, height], [width, 0]], [[torch.nan] * 2] * 2])
    index = torch.tensor([1, 0, 1])
    blind = Layout.unknown(boxes, index, corners, 2, size)
    torch.testing.assert_close(blind.spread, torch.tensor([math.hypot(*size) / 2] * 2 + [0.0]))
    assert blind.most.spread >= math.hypot(*size) / 2 - 1e-9
    assert blind.most.side >= max(size)
    bare = Layout.unknown(boxes, index, None, None, size)
    assert (bare.most.spread, bare.most.side >= max(size)) == (0, True)
    for layout in (blind, bare):
        assert layout.rows[layout.slot // layout.slots].tolist() == index.tolist()
        assert len(layout.slot.unique()) == 3


@pytest.mark.parametrize(("count", "num_images"), [(16, 8), (5, 8), (8, 8), (284, 45), (7, 1), (100, 3)])
def test_regions_of_one_count_have_one_grid_wherever_they_lie(count: int, num_images: int) -> None:
    """Evenly, all in one image, in a few, at random; as on an accelerator, whose numbers the host does not know."""
    spread = torch.arange(count) % num_images
    random = torch.randint(num_images, (count,), generator=torch.Generator().manual_seed(0))
    found = [fixed_grid(index, num_images) for index in (spread, spread * 0 + num_images - 1, spread // 3, random)]
    for index, (rows, slots, slot) in zip(
        (spread, spread * 0 + num_images - 1, spread // 3, random), found, strict=True
    ):
        assert torch.equal(rows[slot // slots], index)
        assert len(slot.unique()) == count
        assert len(rows) <= max(2 * min(count, num_images), 1)
        assert len(rows) * slots <= 2 * count
    assert len({(len(rows), slots) for rows, slots, _ in found}) == 1
