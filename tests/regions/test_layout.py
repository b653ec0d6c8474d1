"""What the host knows of regions that it has not seen: bounds that no region inside an image exceeds."""

from __future__ import annotations

import math

import pytest
import torch

from regionloss.regions.layout import Layout


@pytest.mark.parametrize("size", [(120, 200), (200, 120), (64, 64)])
def test_bounds_hold_for_the_largest_region_of_an_image(size: tuple[int, int]) -> None:
    """The whole image as a box, and keypoints in its opposite corners: half the diagonal away from their centre."""
    height, width = size
    boxes = torch.tensor([[0.0, 0, width, height]] * 3)
    corners = torch.tensor([[[0.0, 0], [width, height]], [[0, height], [width, 0]], [[torch.nan] * 2] * 2])
    index = torch.tensor([1, 0, 1])
    blind = Layout.unknown(boxes, index, corners, size)
    torch.testing.assert_close(blind.spread, torch.tensor([math.hypot(*size) / 2] * 2 + [0.0]))
    assert blind.max_spread >= math.hypot(*size) / 2 - 1e-9
    assert blind.max_side >= max(size)
    bare = Layout.unknown(boxes, index, None, size)
    assert (bare.max_spread, bare.max_side >= max(size)) == (0, True)
    for layout in (blind, bare):
        assert layout.slots == 3, "one image may hold them all"
        assert layout.slot.tolist() == [3, 0, 4]
