"""Regions: building, moving, selecting, padding, and what is refused."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest
import torch

from regionloss import Regions, collate_regions
from regionloss.errors import InputError
from regionloss.regions import crop, hflip
from tests.helpers import face_regions, text_regions


def one(box: list[float], **options: object) -> Regions:
    return Regions("text", torch.tensor([box]), torch.tensor([0]), (40, 48), **options)


@pytest.mark.parametrize(
    ("box", "sentence"),
    [
        ([10, 10, 10, 20], r"boxes\[0\] \(text\): expected x1 < x2 and y1 < y2, got \[10\.0, 10\.0, 10\.0, 20\.0\]\."),
        ([30, 10, 10, 20], r"expected x1 < x2 and y1 < y2, got .* not x, y, width, height\."),
        ([float("nan"), 1, 10, 20], r"boxes\[0\] \(text\): expected finite numbers, got \[nan, "),
        (
            [50, 10, 60, 20],
            r"expected a box inside the image of 40 x 48 pixels, got .* Clip or drop it",
        ),
        ([-9, -9, -1, 5], r"expected a box inside the image of 40 x 48 pixels"),
    ],
)
def test_boxes_that_cannot_be_cut_are_refused(box: list[float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        one([float(v) for v in box])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"boxes": torch.zeros(3, 5)}, r"boxes: expected a float tensor \(R, 4\), got torch\.float32 \(3, 5\)\."),
        ({"boxes": torch.zeros(1, 4).long()}, r"boxes: expected a float tensor \(R, 4\), got torch\.int64 \(1, 4\)\."),
        ({"image_index": torch.zeros(1)}, r"image_index: expected int64 \(1,\), got torch\.float32 \(1,\)\."),
        ({"image_index": torch.tensor([3]), "num_images": 3}, r"image_index \(text\): expected 0 to 2, got 3 to 3\."),
        ({"keypoints": torch.zeros(1, 5, 3)}, r"keypoints: expected \(1, K, 2\), got \(1, 5, 3\)\."),
        ({"scores": torch.zeros(2)}, r"scores: expected \(1,\), got \(2,\)\."),
        ({"valid": torch.zeros(1)}, r"valid: expected bool, got torch\.float32\."),
        ({"texts": ("a", "b")}, r"texts: expected 1 of them, got 2\."),
        ({"image_size": (0, 4)}, r"image_size: expected \(H, W\) in pixels, got \(0, 4\)\."),
        ({"image_size": 40}, r"image_size: expected \(H, W\) in pixels, got 40\."),
        ({"boxes": [[1, 1, 2, 2]]}, r"boxes: expected a tensor, got list\. Convert: torch\.as_tensor\(boxes\)\."),
        ({"boxes": torch.tensor(1.0)}, r"boxes: expected a float tensor \(R, 4\), got torch\.float32 \(\)\."),
        ({"keypoints": torch.zeros(1, 5, 2).long()}, r"keypoints: expected floating point numbers, got torch\.int64\."),
        ({"texts": "a"}, r"texts: expected a tuple of strings, got one string, 'a'\."),
        ({"num_images": 2, "annotated": torch.ones(3)}, r"annotated: expected \(2,\), got \(3,\)\."),
        ({"kind": ""}, r"kind: expected a name such as 'text', got ''\."),
    ],
)
def test_shapes_that_do_not_fit_are_refused(options: dict[str, object], sentence: str) -> None:
    fields = {"boxes": torch.tensor([[1.0, 1, 2, 2]]), "image_index": torch.tensor([0]), "image_size": (40, 48)}
    with pytest.raises(ValueError, match=sentence):
        Regions(**{"kind": "text", **fields, **options})


def test_areas_are_clipped_to_the_image() -> None:
    regions = text_regions()
    expected = [28 * 10, 30.25 * 11.25, 48 * 40, 8 * 10, 4 * 3]
    assert regions.areas.tolist() == pytest.approx(expected)


def test_select_by_mask_and_by_index() -> None:
    regions = face_regions()
    mask = torch.tensor([True, False, True])
    for picked in (regions.select(mask), regions.select(torch.tensor([0, 2]))):
        assert torch.equal(picked.boxes, regions.boxes[[0, 2]])
        assert torch.equal(picked.keypoints, regions.keypoints[[0, 2]])
    assert regions.select(torch.tensor([2, 0])).image_index.tolist() == [2, 0]


def test_of_image() -> None:
    picked = text_regions(3).of_image(2)
    assert len(picked) == 3
    assert picked.num_images == 1
    assert picked.image_index.tolist() == [0, 0, 0]
    assert len(text_regions(3).of_image(1)) == 0


def test_padding_reaches_a_count_and_marks_what_was_added() -> None:
    padded = text_regions().padded((0, 4, 8))
    assert len(padded) == 8
    assert padded.valid.tolist() == [True] * 5 + [False] * 3
    assert len(padded.padded((0, 4, 8))) == 8
    assert len(Regions.empty("text", (8, 8)).padded()) == 0
    faces = face_regions().padded((8,))
    assert faces.keypoints[3:].isnan().all()


def test_what_is_not_valid_is_not_looked_at() -> None:
    boxes = torch.tensor([[1.0, 1, 9, 9], [torch.nan, 3, 2, 1]])
    valid, points = torch.tensor([True, False]), torch.ones(2, 5, 2)
    regions = Regions("face", boxes, torch.tensor([0, 0]), (40, 48), keypoints=points, valid=valid)
    assert regions.boxes.tolist() == [[1, 1, 9, 9], [0, 0, 1, 1]]
    assert regions.keypoints[1].isnan().all()


def test_an_image_with_many_regions_does_not_widen_the_grid() -> None:
    index = torch.cat([torch.arange(16), torch.full((200,), 3)])
    boxes = torch.tensor([[1.0, 1, 9, 9]]).expand(216, 4)
    layout = Regions("text", boxes, index, (40, 48), 16).layout
    assert layout.slots * len(layout.rows) < 2 * 216
    assert len(layout.slot.unique()) == 216
    assert torch.equal(layout.rows[layout.slot // layout.slots], index)


def test_a_changed_field_changes_the_layout() -> None:
    regions = replace(text_regions(), image_index=torch.tensor([0, 0, 1, 1, 1]))
    assert regions.layout.rows[regions.layout.slot // regions.layout.slots].tolist() == [0, 0, 1, 1, 1]


def test_layout_travels_and_survives_pickling() -> None:
    regions = pickle.loads(pickle.dumps(face_regions()))
    assert regions.layout.slots == 2
    moved = regions.to("meta")
    assert moved.boxes.device.type == "meta"
    assert moved.layout.slots == 2
    assert moved.layout.most.spread == regions.layout.most.spread > 0


def test_what_transforms_make_is_checked_and_laid_out_when_it_is_collated() -> None:
    made = hflip(crop(text_regions(), (0, 0, 30, 40)))
    assert made.layout is None
    fresh = replace(made)  # the constructor checks and lays out
    assert torch.equal(made.laid_out().layout.slot, fresh.layout.slot)
    assert torch.equal(made.to("cpu").layout.slot, fresh.layout.slot)
    single = Regions.single("text", torch.tensor([[1.0, 2, 9, 9]]), (40, 48))
    for wrong in ([[torch.nan, 2, 9, 9]], [[9.0, 2, 1, 9]], [[50.0, 2, 60, 9]]):
        broken = single.changed(boxes=torch.tensor(wrong))
        with pytest.raises(InputError, match=r"boxes\[0\] \(text\)"):
            collate_regions([{"text": broken}])
        with pytest.raises(InputError, match=r"boxes\[0\] \(text\)"):
            replace(broken)
