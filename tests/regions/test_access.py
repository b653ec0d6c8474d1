"""Regions as a sequence and as a file: against plain lists of boxes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

import regionloss as rl
from regionloss.errors import InputError
from regionloss.regions import Regions
from tests.helpers import face_regions, images, text_loss, text_regions


def full() -> Regions:
    regions = text_regions(3)
    return Regions(
        "text", regions.boxes, regions.image_index, (40, 48), 3, scores=torch.linspace(0.1, 0.9, 5),
        valid=torch.tensor([True, True, False, True, True]), annotated=torch.tensor([True, False, True]),
        texts=("A", "B", "C", "D", "E"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("index", "wanted"),
    [
        (0, [0]),
        (-1, [4]),
        (slice(1, 3), [1, 2]),
        (slice(None, None, 2), [0, 2, 4]),
        ([3, 0], [3, 0]),
        (torch.tensor([4, 4]), [4, 4]),
        ([True, False, False, True, False], [0, 3]),
        (torch.tensor([False, False, True, False, False]), [2]),
        (slice(5, 9), []),
    ],
)
def test_regions_are_picked_like_the_rows_of_a_list(index: Any, wanted: list[int]) -> None:
    regions = full()
    found = regions[index]
    assert found.texts == tuple("ABCDE"[n] for n in wanted)
    assert found.boxes.tolist() == [regions.boxes.tolist()[n] for n in wanted]
    assert found.image_index.tolist() == [regions.image_index.tolist()[n] for n in wanted]
    assert (found.num_images, len(found)) == (3, len(wanted))
    x, y = images(3, dtype=torch.float32), images(3, dtype=torch.float32, seed=1)
    one_by_one = sum(float(text_loss()(y, x, regions[n])) for n in wanted)
    assert float(text_loss()(y, x, found)) == pytest.approx(one_by_one, rel=1e-5)


@pytest.mark.parametrize("index", [5, -6, [7], 0.5, "text", None, [True], torch.tensor([[0]]), torch.tensor([0.5])])
def test_what_picks_nothing_is_a_sentence(index: Any) -> None:
    with pytest.raises(InputError, match=r"regions\[...\]: expected "):
        full()[index]


def test_a_loop_sees_each_region_once() -> None:
    assert [one.texts for one in full()] == [("A",), ("B",), ("C",), ("D",), ("E",)]
    assert list(Regions.empty("text", (40, 48), 3)) == []


def test_batches_follow_one_another_and_weigh_what_they_did() -> None:
    first, second = full(), text_regions(3)
    both = Regions.cat([first, second])
    assert (both.num_images, len(both)) == (6, 10)
    assert both.image_index.tolist() == [*first.image_index.tolist(), *(n + 3 for n in second.image_index.tolist())]
    assert both.annotated is not None
    assert both.annotated.tolist() == [True, False, True, True, True, True]
    assert both.texts == (*"ABCDE", "", "", "", "", "")
    assert both.scores is not None
    assert both.scores.isnan().tolist() == [False] * 5 + [True] * 5
    assert both.valid is not None
    assert both.valid.tolist() == [True, True, False] + [True] * 7
    x, y = images(6, dtype=torch.float32), images(6, dtype=torch.float32, seed=1)
    parts = (text_loss()(y[:3], x[:3], first) + text_loss()(y[3:], x[3:], second)) / 2
    torch.testing.assert_close(text_loss()(y, x, both), parts)


def test_what_two_detectors_found_is_of_the_same_images() -> None:
    both = Regions.cat([text_regions(3), full()], same_images=True)
    assert (both.num_images, len(both)) == (3, 10)
    assert both.image_index.tolist() == text_regions().image_index.tolist() * 2
    with pytest.raises(InputError, match="the number of images of each part"):
        Regions.cat([text_regions(), full()])
    assert Regions.cat([text_regions(), full()], same_images=True).num_images is None


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([], "a list of Regions, got none"),
        ([full(), 3], "a list of Regions, got int"),
        ([full(), face_regions()], "one kind, got text and face"),
        ([full(), Regions.empty("text", (8, 8), 1)], r"one image_size, got \(40, 48\) and \(8, 8\)"),
    ],
)
def test_what_cannot_be_joined_is_a_sentence(parts: list[Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Regions.cat(parts)


@pytest.mark.parametrize("regions", [full(), face_regions(), Regions.empty("face", (8, 8), 2, keypoints=5)])
def test_a_file_gives_back_what_was_saved(tmp_path: Path, regions: Regions) -> None:
    path = tmp_path / "regions.pt"
    regions.save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["regions.pt"]
    held = torch.load(path, weights_only=True)
    assert held["kind"] == regions.kind
    again = Regions.load(path)
    assert again.texts == regions.texts
    for name in ("boxes", "image_index", "scores", "keypoints", "valid", "annotated"):
        torch.testing.assert_close(getattr(again, name), getattr(regions, name), equal_nan=True)


def test_a_batch_that_holds_regions_is_loaded_without_running_what_it_says(tmp_path: Path) -> None:
    torch.save({"image": torch.zeros(3), "regions": {"text": full()}}, tmp_path / "batch.pt")
    batch = torch.load(tmp_path / "batch.pt", weights_only=True)
    assert batch["regions"]["text"].texts == tuple("ABCDE")
    assert batch["regions"]["text"].layout is not None


def test_what_is_no_file_of_regions_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    with pytest.raises(InputError, match=r"a file that Regions.save wrote, got no such file"):
        Regions.load(path)
    path.write_bytes(b"hello")
    with pytest.raises(InputError, match=r"a file that Regions.save wrote"):
        Regions.load(path)
    torch.save({"boxes": torch.zeros(1, 4)}, path)
    with pytest.raises(InputError, match=r"a file that Regions.save wrote, got a dict"):
        Regions.load(path)
    held = {"format": "regionloss.Regions", "kind": "text", "boxes": torch.tensor([[5.0, 5, 1, 1]])}
    held |= {"image_index": torch.tensor([0]), "image_size": (8, 8)}
    torch.save(held, path)
    with pytest.raises(InputError, match="x1 < x2"):
        Regions.load(path)
    torch.save({**held, "colours": 3}, path)
    with pytest.raises(InputError, match=r"'colours'. It is of a later regionloss"):
        Regions.load(path)
    with pytest.raises(InputError, match="a file that can be written"):
        full().save(tmp_path / "no" / "such.pt")


def test_regions_are_shown_in_a_line() -> None:
    assert repr(full()) == (
        "Regions('text', 5 regions in 3 images of 40 x 48, scores 0.1 to 0.9, 4 valid, texts 'A', 'B', 'C', ...)"
    )
    assert repr(face_regions()) == "Regions('face', 3 regions of 40 x 48, 5 keypoints each)"
    assert repr(rl.Regions.empty("text", (8, 8), 1)) == "Regions('text', 0 regions in 1 image of 8 x 8)"
    assert re.search(r"on meta\)$", repr(full().to("meta")))
