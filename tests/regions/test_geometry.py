"""Regions follow their image: markers drawn at the keypoints are found again after every transform."""

from __future__ import annotations

import pytest
import torch

from regionloss import Regions
from regionloss.regions import geometry

PAIRS = ((0, 1), (3, 4))


def marked() -> tuple[torch.Tensor, Regions]:
    """An image whose pixel under keypoint k has the value k + 1."""
    points = torch.tensor([[[10.5, 8.5], [20.5, 9.5], [15.5, 14.5], [11.5, 20.5], [19.5, 21.5]]])
    image = torch.zeros(1, 1, 40, 48)
    for k, (x, y) in enumerate(points[0].tolist()):
        image[0, 0, int(y), int(x)] = k + 1
    regions = Regions("face", torch.tensor([[8.0, 6, 23, 24]]), torch.tensor([0]), (40, 48), 1, keypoints=points)
    return image, regions


def marks(image: torch.Tensor, regions: Regions) -> list[int]:
    return [int(image[0, 0, int(y), int(x)]) for x, y in regions.keypoints[0].tolist()]


def test_crop() -> None:
    image, regions = marked()
    moved = geometry.crop(regions, (5, 7, 30, 20))
    assert marks(image[..., 5:35, 7:27], moved) == [1, 2, 3, 4, 5]
    assert moved.image_size == (30, 20)
    assert moved.boxes.tolist() == [[1, 1, 16, 19]]


def test_crop_leaves_out_what_is_gone() -> None:
    _, regions = marked()
    assert len(geometry.crop(regions, (30, 0, 10, 48))) == 0


def test_resize() -> None:
    image, regions = marked()
    large = image.repeat_interleave(2, 2).repeat_interleave(3, 3)
    moved = geometry.resize(regions, (80, 144))
    assert marks(large, moved) == [1, 2, 3, 4, 5]
    assert moved.boxes.tolist() == [[24, 12, 69, 48]]


def test_hflip_swaps_left_and_right() -> None:
    image, regions = marked()
    moved = geometry.hflip(regions, PAIRS)
    assert marks(image.flip(3), moved) == [2, 1, 3, 5, 4]
    assert moved.boxes.tolist() == [[25, 6, 40, 24]]
    twice = geometry.hflip(moved, PAIRS)
    assert torch.equal(twice.keypoints, regions.keypoints)


def test_hflip_of_keypoints_needs_pairs() -> None:
    with pytest.raises(ValueError, match=r"^hflip: expected flip_pairs, as the regions have keypoints, got none\."):
        geometry.hflip(marked()[1])


def test_limit_takes_the_largest_of_each_image() -> None:
    boxes = torch.tensor([[0.0, 0, 2, 2], [0, 0, 9, 9], [0, 0, 5, 5], [0, 0, 3, 3]])
    regions = Regions("text", boxes, torch.tensor([0, 0, 0, 1]), (10, 10))
    assert geometry.limit(regions, per_image=2).boxes[:, 2].tolist() == [9, 5, 3]
    assert geometry.limit(regions, per_batch=2).boxes[:, 2].tolist() == [9, 5]
    generators = [torch.Generator().manual_seed(0) for _ in range(2)]
    chosen = [geometry.limit(regions, 1, choose="random", generator=g).boxes for g in generators]
    assert torch.equal(*chosen)
    assert len(chosen[0]) == 2


def test_drop_is_seeded_and_has_its_rate() -> None:
    boxes = torch.tensor([[0.0, 0, 2, 2]]).expand(4000, 4)
    regions = Regions("text", boxes, torch.zeros(4000, dtype=torch.int64), (10, 10))
    kept = geometry.drop(regions, 0.75, torch.Generator().manual_seed(0))
    # Four standard deviations of a binomial count.
    assert abs(len(kept) - 1000) < 4 * (4000 * 0.75 * 0.25) ** 0.5


def test_where_guides_named_it_before_it_is_still_found() -> None:
    import regionloss

    with pytest.warns(DeprecationWarning, match=r"regionloss\.region_ops is regionloss\.regions by now"):
        assert regionloss.region_ops.hflip is geometry.hflip
