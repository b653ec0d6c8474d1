"""Quadrilaterals travel with their regions: areas against OpenCV, corners found again after every transform."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from regionloss import AreaWeighting, Regions, collate_regions
from regionloss.errors import InputError
from regionloss.regions import geometry, join, quads
from regionloss.regions.collation import RegionFilter

SIZE = (40, 48)
UPRIGHT = [[8.5, 6.5], [22.5, 6.5], [22.5, 14.5], [8.5, 14.5]]
ASKEW = [[12.5, 4.5], [30.5, 10.5], [28.5, 20.5], [9.5, 15.5]]
NONE = [[torch.nan] * 2] * 4


def words(*given: list[list[float]], size: tuple[int, int] = SIZE) -> Regions:
    corners = torch.tensor(given)
    known = quads.known(corners)[:, None]
    boxes = torch.where(known, quads.hulls(corners), torch.tensor([1.0, 2, 21, 12]))
    return Regions("text", boxes, torch.zeros(len(given)).long(), size, 1, quads=corners)


def random_quads(count: int) -> torch.Tensor:
    """Convex ones, of any size and direction, partly beyond an image of 40 x 48."""
    generator = torch.Generator().manual_seed(0)
    found = torch.rand(20 * count, 4, 2, generator=generator, dtype=torch.float64) * 90 - 20
    return found[quads.is_clockwise(found)][:count]


def test_areas_are_those_of_opencv() -> None:
    shapes, (height, width) = random_quads(60), SIZE
    assert len(shapes) == 60
    frame = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    inside = quads.areas_inside(shapes, SIZE)
    for shape, whole, part in zip(shapes.float().numpy(), quads.areas(shapes), inside, strict=True):
        assert float(whole) == pytest.approx(cv2.contourArea(shape), rel=1e-5)
        assert float(part) == pytest.approx(cv2.intersectConvexConvex(shape, frame)[0], rel=2e-4, abs=0.02)
    torch.testing.assert_close(quads.areas_inside(shapes.float(), SIZE).double(), inside, rtol=1e-4, atol=1e-3)


def test_upright_quads_weigh_as_their_boxes() -> None:
    boxes = torch.tensor([[-4.0, 3, 20, 13], [10, 20, 60, 90], [1, 2, 5, 9]])
    bare = Regions("text", boxes, torch.zeros(3).long(), SIZE, 1)
    same = bare.changed(quads=quads.corners(boxes))
    torch.testing.assert_close(same.areas, bare.areas)
    mixed = words(ASKEW, NONE)
    share = AreaWeighting()(mixed) * SIZE[0] * SIZE[1]
    assert share.tolist() == pytest.approx([cv2.contourArea(np.float32(ASKEW)), 200], rel=1e-5)


def test_the_order_is_that_of_reading() -> None:
    shape = torch.tensor([ASKEW])
    back, bow, dent = shape[:, [0, 3, 2, 1]], shape[:, [0, 2, 1, 3]], shape.clone()
    dent[0, 2] = torch.tensor([14.0, 8.0])
    assert [bool(quads.is_clockwise(one)) for one in (shape, back, bow, dent)] == [True, False, False, False]
    for one in (shape, back):
        assert torch.equal(quads.clockwise(one), shape)
    assert quads.clockwise(torch.cat([bow, dent, torch.tensor([NONE])])).isnan().all()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (ASKEW[::-1], r"quads\[1\] \(text\): expected four corners of a convex shape, clockwise .* as read, got \[\[9"),
        ([ASKEW[0], ASKEW[2], ASKEW[1], ASKEW[3]], r"quads\[1\] \(text\): expected four corners of a convex shape"),
        ([*ASKEW[:3], [torch.nan, 3.0]], r"quads\[1\] .* All NaN: the region is its box\."),
        ([*ASKEW[:3], [-torch.inf, 3.0]], r"quads\[1\] "),
    ],
)
def test_what_cannot_be_cut_is_refused(given: list[list[float]], sentence: str) -> None:
    boxes, corners = torch.tensor([[1.0, 2, 9, 9]] * 2), torch.tensor([ASKEW, given])
    with pytest.raises(InputError, match=sentence):
        Regions.single("text", boxes, SIZE, quads=corners)
    with pytest.raises(InputError, match=sentence):
        collate_regions([{"text": Regions.single("text", boxes, SIZE).changed(quads=corners)}])


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (torch.zeros(1, 5, 2), r"^quads: expected \(1, 4, 2\), got \(1, 5, 2\)\."),
        (torch.zeros(1, 8), r"^quads: expected \(1, 4, 2\), got \(1, 8\)\."),
        (torch.zeros(1, 4, 2).long(), r"^quads: expected floating point numbers, got torch\.int64\."),
        ([ASKEW], r"^quads: expected a tensor, got list\."),
    ],
)
def test_other_shapes_are_refused(given: object, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        Regions.single("text", torch.tensor([[1.0, 2, 9, 9]]), SIZE, quads=given)  # type: ignore[arg-type]


def marks(image: torch.Tensor, regions: Regions) -> list[int]:
    return [int(image[int(y), int(x)]) for x, y in regions.quads[0].tolist()]


def test_corners_follow_the_image() -> None:
    image, regions = torch.zeros(SIZE), words(ASKEW)
    for number, (x, y) in enumerate(ASKEW, 1):
        image[int(y), int(x)] = number
    assert marks(image[3:30, 5:40], geometry.crop(regions, (3, 5, 27, 35))) == [1, 2, 3, 4]
    large = image.repeat_interleave(2, 0).repeat_interleave(3, 1)
    assert marks(large, geometry.resize(regions, (80, 144))) == [1, 2, 3, 4]
    mirrored = geometry.hflip(regions)
    assert marks(image.flip(1), mirrored) == [2, 1, 4, 3], "upper left is what is seen there"
    assert quads.is_clockwise(mirrored.quads).all()
    assert torch.equal(geometry.hflip(mirrored).quads, regions.quads)


def test_they_are_selected_moved_padded_and_blanked() -> None:
    regions = words(UPRIGHT, ASKEW, NONE)
    assert torch.equal(regions.select(torch.tensor([1])).quads, torch.tensor([ASKEW]))
    assert torch.equal(regions.of_image(0).quads[:2], regions.quads[:2])
    moved = regions.to("meta", dtype=torch.float64)
    assert (moved.quads.device.type, moved.quads.dtype, moved.layout.bare) == ("meta", torch.float64, True)
    padded = words(UPRIGHT, ASKEW).padded((4,))
    assert quads.is_clockwise(padded.quads).all()
    assert not padded.laid_out().layout.bare, "padding makes no region one without corners"
    valid = torch.tensor([True, False])
    masked = Regions("text", torch.ones(2, 4) * torch.tensor([0, 0, 9, 9]), valid.long(), SIZE, valid=valid,
                     quads=torch.tensor([ASKEW, ASKEW[::-1]]))  # fmt: skip
    assert masked.quads[1].tolist() == [[0, 0], [1, 0], [1, 1], [0, 1]]


def test_a_batch_knows_which_regions_have_one() -> None:
    bare = Regions.single("text", torch.tensor([[1.0, 2, 21, 12]]), SIZE)
    joined = join([words(ASKEW), bare, None], "text", SIZE)
    assert quads.known(joined.quads).tolist() == [True, False]
    layout = joined.layout
    assert layout.bare
    lengths = np.linalg.norm(np.roll(ASKEW, -1, 0) - np.array(ASKEW), axis=1)
    wide, high = max(lengths[0], lengths[2]), max(lengths[1], lengths[3])
    assert layout.max_quad == pytest.approx((wide, high, wide, high), rel=1e-6)
    assert bare.layout.max_quad is None
    alone, _ = collate_regions([{"text": words(ASKEW)}])
    assert not alone["text"].layout.bare


def test_filters_look_at_the_shape_and_not_at_its_hull() -> None:
    """A line 3 pixels high at 45 degrees has a large hull; half of another's hull is in the image, itself hardly."""
    thin = [[5.0, 5.0], [30.0, 30.0], [27.9, 32.1], [2.9, 7.1]]
    corner = [[-26.0, 26.0], [0.0, 0.0], [7.0, 7.0], [-19.0, 33.0]]
    outside = words(ASKEW, thin, corner)
    batch, dropped = collate_regions([{"text": outside}], {"text": RegionFilter(min_side=4.0, min_visible=0.3)})
    assert torch.equal(batch["text"].quads, torch.tensor([ASKEW]))
    assert dropped == {"text/hidden": 1, "text/small": 1, "text/keypoints": 0}
    whole, _ = collate_regions([{"text": words(ASKEW, UPRIGHT)}], {"text": RegionFilter(min_visible=1.0)})
    assert len(whole["text"]) == 2, "what lies in the image is wholly visible, to the last bit"
