"""Entries of rows: what is written is read again, and one row is read as a shard's are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from regionloss.data.sidecars.entries import Rows, entries_of, row_regions
from regionloss.data.sidecars.sidecar import Sidecar
from regionloss.regions import Regions

SIZE = (200, 100)


def row(entries: list[dict[str, Any]]) -> dict[str, Any]:
    facts = {"kind": "face", "detector": "t", "score": 1.0}
    scan = {"detector": "t", "version": "", "weights": "", "options": "{}", "kind": "face"}
    return {"key": "a", "width": 20, "height": 10, "scans": [scan], "regions": [facts | entry for entry in entries]}


def test_regions_of_a_batch_are_written_to_their_images_and_read_again() -> None:
    boxes = torch.tensor([[10.0, 20, 60, 70], [-6, -6, 32, 16], [150, 20, 230, 90]])
    found = Regions("face", boxes, torch.tensor([1, 0, 1]), (100, 200), 2, boxes[:, None, :2], torch.rand(3) / 2)
    for image, entries in enumerate(entries_of(found, "t", [SIZE, SIZE])):
        regions, dropped = row_regions(row(entries.rows), SIZE)
        wanted = found.of_image(image)
        clipped = wanted.boxes.clamp(min=0).minimum(torch.tensor([200.0, 100, 200, 100]))
        torch.testing.assert_close(regions["face"].boxes, clipped)
        torch.testing.assert_close(regions["face"].keypoints, wanted.keypoints)
        torch.testing.assert_close(regions["face"].scores, wanted.scores)
        assert (entries.outside, dropped.total()) == (0, 0)


def test_corners_are_written_and_read_again_or_are_unknown() -> None:
    quad = torch.tensor([[20.0, 10], [80, 30], [70, 60], [10, 40]])
    given = torch.stack([quad, torch.full((4, 2), torch.nan), quad + torch.tensor([140.0, 0])])
    boxes = torch.tensor([[10.0, 10, 80, 60], [5, 5, 90, 90], [150, 10, 220, 60]])
    found = Regions("face", boxes, torch.tensor([0, 1, 1]), (100, 200), 2, quads=given)
    first, second = (entries.rows for entries in entries_of(found, "t", [SIZE, SIZE]))
    assert [entry["quad"] for entry in first] == [pytest.approx([0.1, 0.1, 0.4, 0.3, 0.35, 0.6, 0.05, 0.4])]
    assert second[0]["quad"] is None
    read = row_regions(row(second), SIZE)[0]["face"]
    torch.testing.assert_close(read.quads, given[1:], equal_nan=True)
    back, bow, far = quad[[0, 3, 2, 1]], quad[[0, 2, 1, 3]], quad * 1e4
    odd = [{"box": [0, 0, 1, 1], "quad": (one / torch.tensor(SIZE)).flatten().tolist()} for one in (back, bow, far)]
    read = row_regions(row(odd), SIZE)[0]["face"]
    torch.testing.assert_close(read.quads[0], quad)
    assert read.quads[1:].isnan().all()
    assert row_regions(row(odd[1:]), SIZE)[0]["face"].quads is None, "nothing but boxes"


@pytest.mark.parametrize("bad", [{"box": [0.5, 0.1, 0.5, 0.3]}, {"score": float("nan")}, {"box": [1.2, 0.1, 1.5, 0.3]}])
def test_one_row_is_read_as_those_of_a_shard_are(bad: dict[str, Any]) -> None:
    given = row([{"box": [0, 0, 1, 1]}, {"box": [0, 0, 1, 1]} | bad])
    regions, dropped = row_regions(given, SIZE)
    joined = Rows(Sidecar.of([given]).table).of("a", SIZE, None)
    assert torch.equal(regions["face"].boxes, joined.regions["face"].boxes)
    assert dropped == joined.dropped == {"face/invalid": 1}


@pytest.mark.parametrize("width", [29, 58, 217])
def test_a_box_that_is_none_in_pixels_is_none(width: int) -> None:
    """Relative to the image its two sides are two numbers; times its width they are one."""
    left = np.float32(0.3)
    right = np.nextafter(left, np.float32(1))
    assert left * np.float32(width) == right * np.float32(width)
    given = row([{"box": [float(left), 0, float(right), 1]}, {"box": [0, 0, 1, 1]}])
    regions, dropped = row_regions(given, (width, 10))
    assert (len(regions["face"]), dropped) == (1, {"face/invalid": 1})


@pytest.mark.parametrize("read", ["one", "all"])
def test_entries_of_one_kind_may_have_other_numbers_of_keypoints(read: str) -> None:
    few, many = [0.1, 0.2, 0.3, 0.4], [0.5, 0.5, 0.6, 0.6, 0.7, 0.7]
    given = row([{"box": [0, 0, 1, 1], "keypoints": points} for points in (few, None, many)])
    if read == "one":
        regions = row_regions(given, SIZE)[0]["face"]
    else:
        regions = Rows(Sidecar.of([given]).table).of("a", SIZE, None).regions["face"]
    nan = float("nan")
    wanted = [[20, 20, 60, 40, nan, nan], [nan] * 6, [100, 50, 120, 60, 140, 70]]
    for found, points in zip(regions.keypoints.flatten(1).tolist(), wanted, strict=True):
        assert found == pytest.approx(points, nan_ok=True)
    assert row_regions(row(given["regions"][1:2]), SIZE)[0]["face"].keypoints is None


def test_scores_of_a_source_without_any_are_none() -> None:
    """A side-car has 1 for them, which a picture would show as certainty."""
    entries = [{"box": [0, 0, 1, 1], "score": score} for score in (1.0, 0.5, 1.0)]
    assert row_regions(row(entries[::2]), SIZE)[0]["face"].scores is None
    assert row_regions(row(entries), SIZE)[0]["face"].scores.tolist() == [1, 0.5, 1]
