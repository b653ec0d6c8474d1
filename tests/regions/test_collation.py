"""Collation: what is joined, what is dropped, and that it is counted."""

from __future__ import annotations

import pytest
import torch

from regionloss import Regions, collate_regions
from regionloss.errors import InputError
from regionloss.regions import join
from regionloss.regions.collation import RegionFilter


def faces(boxes: list[list[float]], keypoints: torch.Tensor | None = None) -> Regions:
    count = len(boxes)
    points = (
        torch.rand(count, 5, 2, generator=torch.Generator().manual_seed(0)) * 30 if keypoints is None else keypoints
    )
    index = torch.zeros(count, dtype=torch.int64)
    return Regions("face", torch.tensor(boxes).reshape(-1, 4), index, (64, 64), 1, keypoints=points)


def texts(*words: str) -> Regions:
    boxes = torch.tensor([[1.0, 1, 30, 12]]).expand(len(words), 4)
    return Regions("text", boxes, torch.zeros(len(words), dtype=torch.int64), (64, 64), 1, texts=words)


def test_joins_images_and_remembers_who_was_looked_at() -> None:
    batch, dropped = collate_regions(
        [{"text": texts("a", "b")}, {}, {"text": texts(), "face": faces([[4.0, 4, 40, 40]])}]
    )
    assert batch["text"].image_index.tolist() == [0, 0]
    assert batch["text"].texts == ("a", "b")
    assert batch["text"].num_images == 3
    assert batch["text"].annotated.tolist() == [True, False, True]
    assert batch["face"].annotated.tolist() == [False, False, True]
    assert batch["face"].image_index.tolist() == [2]
    assert not any(dropped.values())


def test_drops_and_counts_small_hidden_and_unusable_faces() -> None:
    points = torch.rand(5, 5, 2, generator=torch.Generator().manual_seed(1)) * 30
    points[3, 2] = torch.nan
    points[4, 1] = points[4, 0]
    boxes = [[4.0, 4, 40, 40], [10, 10, 14, 30], [-30, 4, 20, 40], [4, 4, 40, 40], [4, 4, 40, 40]]
    rules = {"face": RegionFilter(min_side=12, min_visible=0.5, need_keypoints=True)}
    batch, dropped = collate_regions([{"face": faces(boxes, points)}], rules)
    assert batch["face"].boxes.tolist() == [[4, 4, 40, 40]]
    assert dropped == {"face/small": 1, "face/hidden": 1, "face/keypoints": 2}


def test_drops_what_a_detector_was_not_sure_of() -> None:
    """A score that nobody knows, of a region or of an image's, is not a small one."""
    sure = texts("a", "b", "c").changed(scores=torch.tensor([0.9, 0.3, torch.nan]))
    batch, dropped = collate_regions([{"text": sure}, {"text": texts("d")}], {"text": RegionFilter(min_score=0.5)})
    assert batch["text"].texts == ("a", "c", "d")
    assert dropped["text/score"] == 1
    assert len(collate_regions([{"text": sure}])[0]["text"]) == 3
    with pytest.raises(InputError, match=r"filter: min_score: expected a share from 0 to 1, got 1\.5"):
        RegionFilter(min_score=1.5)


def test_a_face_cut_by_the_border_is_dropped_though_its_box_was_clipped() -> None:
    points = torch.tensor(
        [[[-9.0, 10], [4, 10], [-3, 18], [-7, 25], [3, 25]], [[5.0, 10], [20, 10], [12, 18], [7, 25], [-1, 25]]]
    )
    batch, dropped = collate_regions([{"face": faces([[0.0, 0, 12, 36], [0, 0, 30, 36]], points)}])
    assert batch["face"].boxes.tolist() == [[0, 0, 30, 36]]
    assert dropped == {"face/hidden": 1, "face/small": 0, "face/keypoints": 0}


def test_boxes_are_clipped_to_the_image() -> None:
    batch, _ = collate_regions([{"face": faces([[-5.0, 4, 40, 70]])}])
    assert batch["face"].boxes.tolist() == [[0, 4, 40, 64]]


def test_limits_drops_and_pads() -> None:
    rules = {"text": RegionFilter(per_image=2, pad_to=(0, 8))}
    batch, dropped = collate_regions([{"text": texts("a", "b", "c")}, {"text": texts("d")}], rules)
    assert dropped["text/limit"] == 1
    assert len(batch["text"]) == 8
    assert int(batch["text"].valid.sum()) == 3
    seeds = [torch.Generator().manual_seed(5) for _ in range(2)]
    rules = {"text": RegionFilter(drop=0.5)}
    kept = [collate_regions([{"text": texts(*"abcdefgh")}], rules, g) for g in seeds]
    assert kept[0][0]["text"].texts == kept[1][0]["text"].texts
    assert kept[0][1]["text/drop"] == 8 - len(kept[0][0]["text"]) > 0


def test_images_of_different_sizes_are_refused() -> None:
    other = Regions.empty("text", (32, 32), 1)
    with pytest.raises(ValueError, match=r"^collate \(text\): expected images of one size, got \[\(32, 32\), \(64"):
        collate_regions([{"text": texts("a")}, {"text": other}])


@pytest.mark.parametrize(
    "rules", [{"drop": 1.5}, {"min_visible": -0.1}, {"per_image": -1}, {"per_batch": -2}, {"choose": "best"}]
)
def test_rules_that_make_no_sense(rules: dict[str, object]) -> None:
    with pytest.raises(InputError, match="filter: "):
        RegionFilter(**rules)


def test_random_choices_of_an_image_do_not_depend_on_its_neighbours() -> None:
    """One generator for each image: alone or in any company, an image keeps the same regions."""
    rules = {"face": RegionFilter(drop=0.4, per_image=2, choose="random", min_side=1.0)}
    images = [{"face": faces([[1.0 + i + j, 2, 30 + i + j, 40] for j in range(i)])} for i in range(7)]

    def kept(chosen: list[int]) -> list[list[list[float]]]:
        generators = [torch.Generator().manual_seed(i) for i in chosen]
        batch, _ = collate_regions([images[i] for i in chosen], rules, generators)
        return [batch["face"].boxes[batch["face"].image_index == i].tolist() for i in range(len(chosen))]

    together = kept(list(range(7)))
    assert kept([5, 3, 6]) == [together[i] for i in (5, 3, 6)]
    assert max(map(len, together)) == 2
    with pytest.raises(InputError, match="one, or one for each image"):
        collate_regions(images, rules, [torch.Generator()])


def test_join_puts_each_image_s_regions_in_its_place() -> None:
    one = Regions.single("logo", torch.tensor([[1.0, 2, 3, 4], [2, 2, 6, 6]]), (8, 8), texts=("a", "b"))
    none, size = Regions.empty("logo", (8, 8), 1), (8, 8)
    found = join([one, none, one], "logo", size)
    assert found.image_index.tolist() == [0, 0, 2, 2]
    assert (found.num_images, found.texts, found.annotated) == (3, ("a", "b", "a", "b"), None)
    for image, before in enumerate((one, none, one)):
        assert torch.equal(found.of_image(image).boxes, before.boxes)
    assert join([one, None], "logo", size).annotated.tolist() == [True, False]
    assert join([None, None], "logo", size).annotated.tolist() == [False, False]
    nothing = join([], "logo", size)
    assert (len(nothing), nothing.num_images, nothing.image_size) == (0, 0, size)


@pytest.mark.parametrize(
    ("wrong", "part"),
    [
        (Regions.empty("text", (8, 8), 1), r"join\[1\].kind: expected 'logo', got 'text'"),
        (Regions.empty("logo", (9, 8), 1), r"join\[1\].image_size: expected \(8, 8\), got \(9, 8\)"),
        (Regions.empty("logo", (8, 8), 2), r"join\[1\]: expected regions of one image.* got 2 images"),
    ],
)
def test_join_refuses_what_would_be_lost_in_a_batch(wrong: Regions, part: str) -> None:
    with pytest.raises(InputError, match=part):
        join([Regions.empty("logo", (8, 8), 1), wrong], "logo", (8, 8))


@pytest.mark.parametrize("number", [0, 1])
def test_the_regions_of_several_images_are_not_those_of_one(number: int) -> None:
    """Index 1 of a batch of two would be taken for the first image's."""
    boxes = torch.tensor([[0.0, 0, 9, 9], [10, 10, 19, 19]])
    both = Regions("text", boxes, torch.tensor([0, 1]), (32, 32), 2)
    given = [{"text": both.of_image(0)}, {"text": both.of_image(1)}]
    given[number] = {"text": both}
    with pytest.raises(InputError, match=rf"collate\[{number}\]\['text'\]: expected regions of one image"):
        collate_regions(given)
