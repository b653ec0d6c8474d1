"""Annotating a folder once: a detector that finds red rectangles, files of all kinds, a side-car that is believed."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import Tensor

from regionloss.data.annotate import pictures as annotate_pictures
from regionloss.data.annotate.annotator import Annotate
from regionloss.data.annotate.detectors import NamedDetector
from regionloss.data.annotate.jobs import jobs_of
from regionloss.data.annotate.pictures import Annotated, annotate, annotate_files, look
from regionloss.data.annotate.run_local import run_here
from regionloss.data.shards.paths import list_images
from regionloss.data.sidecars.sidecar import VERSION_KEY, Sidecar, read_sidecar, write_sidecar
from regionloss.regions import Regions


class RedDetector:
    """Finds the bounding box of all that is red, and its centre as a keypoint."""

    def __init__(self, kind: str = "sign", version: str = "1") -> None:
        self.kind, self.version, self.looked = kind, version, 0

    def detect(self, images: Tensor) -> Regions:
        self.looked += 1
        red = (images[0, 0] > 0) & (images[0, 1:] < -0.5).all(0)
        size = (images.shape[2], images.shape[3])
        if not red.any():
            return Regions.empty(self.kind, size, 1, keypoints=1)
        ys, xs = red.nonzero().unbind(1)
        box = torch.stack([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]).float()[None]
        centre = torch.stack([box[:, 0::2].mean(1), box[:, 1::2].mean(1)], 1)[:, None]
        return Regions(self.kind, box, torch.zeros(1).long(), size, 1, keypoints=centre, scores=torch.tensor([0.75]))


def signed(size: tuple[int, int], box: tuple[int, int, int, int] | None) -> Image.Image:
    image = Image.new("RGB", size, (40, 90, 200))
    if box:
        image.paste((255, 0, 0), box)
    return image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    (root / "sub").mkdir(parents=True)
    signed((60, 40), (10, 5, 30, 25)).save(root / "a.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # stored a quarter turn to the left of upright
    signed((50, 80), (5, 10, 25, 70)).transpose(Image.Transpose.ROTATE_90).save(root / "sub" / "turned.png", exif=exif)
    signed((30, 30), None).save(root / "empty.png")
    Image.new("CMYK", (20, 20), (0, 255, 255, 0)).save(root / "print.jpg", quality=100)
    (root / "broken.jpg").write_bytes(b"not an image")
    return root


def by_name(pictures: list[Annotated]) -> dict[str, Annotated]:
    return {picture.name: picture for picture in pictures}


def test_regions_are_in_the_pixels_of_the_upright_image(folder: Path):
    pictures, skipped = annotate_files(list_images(folder), folder, {"red": RedDetector()})
    found = by_name(pictures)
    assert found["a.png"].regions["sign"].boxes.tolist() == [[10, 5, 30, 25]]
    turned = found["sub/turned.png"]
    assert turned.image.size == (50, 80)
    assert turned.regions["sign"].boxes[0].tolist() == pytest.approx([5, 10, 25, 70])
    assert turned.regions["sign"].keypoints[0, 0].tolist() == pytest.approx([15, 40])
    assert turned.regions["sign"].scores.tolist() == [0.75]
    assert len(found["empty.png"].regions["sign"]) == 0
    assert found["print.jpg"].regions["sign"].boxes.tolist() == [[0, 0, 20, 20]]
    assert list(skipped) == ["broken.jpg"]
    assert "cannot be read as an image" in skipped["broken.jpg"]


def test_nothing_is_looked_at_twice_and_the_side_car_says_the_same(folder: Path, tmp_path: Path):
    sidecar, paths = tmp_path / "run" / "images.regions.parquet", list_images(folder)
    first, _ = annotate_files(paths, folder, {"red": RedDetector()}, sidecar)
    again = RedDetector()
    second, skipped = annotate_files(paths, folder, {"red": again}, sidecar)
    assert again.looked == 0
    assert list(skipped) == ["broken.jpg"]
    for a, b in zip(first, second, strict=True):
        assert a.name == b.name
        assert torch.allclose(a.regions["sign"].boxes, b.regions["sign"].boxes, atol=1e-4)
        assert np.array_equal(np.asarray(a.image), np.asarray(b.image))
    rows = list(read_sidecar(str(sidecar)).rows())
    assert {row["key"] for row in rows} == {"a.png", "empty.png", "print.jpg", "sub/turned.png"}
    row = next(row for row in rows if row["key"] == "a.png")
    assert (row["width"], row["height"]) == (60, 40)
    assert row["regions"][0]["box"] == pytest.approx([10 / 60, 5 / 40, 30 / 60, 25 / 40])
    assert [row["scans"] != [] for row in rows] == [True] * 4


def test_a_changed_file_another_version_and_a_new_detector_are_looked_at(folder: Path, tmp_path: Path):
    sidecar, paths = tmp_path / "images.regions.parquet", list_images(folder)
    annotate_files(paths, folder, {"red": RedDetector()}, sidecar)
    signed((64, 44), (1, 2, 33, 4)).save(folder / "a.png")
    changed = RedDetector()
    pictures, _ = annotate_files(paths, folder, {"red": changed}, sidecar)
    assert changed.looked == 1
    assert by_name(pictures)["a.png"].regions["sign"].boxes[0].tolist() == pytest.approx([1, 2, 33, 4])
    newer, other = RedDetector(version="2"), RedDetector("mark")
    pictures, _ = annotate_files(paths, folder, {"red": newer, "other": other}, sidecar)
    assert (newer.looked, other.looked) == (4, 4)
    assert sorted(by_name(pictures)["a.png"].regions) == ["mark", "sign"]
    assert len(by_name(pictures)["a.png"].regions["sign"]) == 1


def cut(sidecar: Path) -> None:
    sidecar.write_bytes(sidecar.read_bytes()[:-40])


def made_newer(sidecar: Path) -> None:
    table = pq.read_table(sidecar)
    pq.write_table(table.replace_schema_metadata({**table.schema.metadata, VERSION_KEY: b"2"}), sidecar)


def made_another(sidecar: Path) -> None:
    pq.write_table(pa.table({"mine": [1, 2, 3]}), sidecar)


@pytest.mark.parametrize("harm", [cut, made_newer, made_another])
def test_a_side_car_that_cannot_be_read_is_made_anew_and_a_copy_is_kept(
    harm: Callable[[Path], None], folder: Path, tmp_path: Path
):
    sidecar, paths = tmp_path / "images.regions.parquet", list_images(folder)
    annotate_files(paths, folder, {"red": RedDetector()}, sidecar)
    harm(sidecar)
    before, again = sidecar.read_bytes(), RedDetector()
    pictures, skipped = annotate_files(paths, folder, {"red": again}, sidecar)
    assert again.looked == 4
    assert len(pictures) == 4
    (copy,) = tmp_path.glob("*.damaged")
    assert copy.read_bytes() == before
    assert f"It is kept as {copy}, and what it says" in skipped[str(sidecar)]
    assert str(sidecar) not in annotate_files(paths, folder, {"red": again}, sidecar)[1]


def test_a_large_image_is_looked_at_smaller_and_its_boxes_are_in_its_own_pixels():
    image = signed((400, 200), (100, 40, 300, 160))
    detector = RedDetector()
    found = look(detector, image, max_side=100)
    assert found.image_size == (200, 400)
    assert found.boxes[0].tolist() == pytest.approx([100, 40, 300, 160], abs=4.1)


def test_two_detectors_of_one_kind_add_up_and_two_kinds_stand_apart():
    picture = Annotated("p", signed((60, 40), (10, 5, 30, 25)), {})
    both = annotate(picture, [RedDetector(), RedDetector(), RedDetector("mark")])
    assert len(both.regions["sign"]) == 2
    assert len(both.regions["mark"]) == 1
    assert both.regions["sign"].keypoints.shape == (2, 1, 2)


def test_progress_is_told_for_every_file_good_or_bad(folder: Path):
    told: list[tuple[int, int]] = []
    annotate_files(list_images(folder), folder, {"red": RedDetector()}, tick=lambda done, of: told.append((done, of)))
    assert told == [(i, 5) for i in range(1, 6)]


class FarDetector:
    """Finds a box that reaches out of the image, with a keypoint there."""

    kind, version = "sign", "1"

    def __init__(self, threshold: float = 0.5) -> None:
        self.threshold = threshold

    def detect(self, images: Tensor) -> Regions:
        boxes = torch.tensor([[-6.0, -6, 32, 16]]).repeat(len(images), 1)
        index = torch.arange(len(images))
        size = (images.shape[2], images.shape[3])
        return Regions("sign", boxes, index, size, len(images), keypoints=torch.full((len(images), 1, 2), -3.0))


FAR_PLUGIN = """
from __future__ import annotations
import torch
from regionloss import Regions, hookimpl
@hookimpl
def register_detectors(register):
    register("far", "far:FarDetector", licence="CC0-1.0", summary="a box that reaches out")
"""


def test_pictures_and_shards_are_written_alike(tmp_path: Path) -> None:
    """One detector, one image: the row that a run writes for itself, and that of `regionloss annotate`."""
    (tmp_path / "photos").mkdir()
    signed((64, 64), (10, 5, 30, 25)).save(tmp_path / "photos" / "a.png")
    plugin = tmp_path / "far.py"
    plugin.write_text(FAR_PLUGIN + inspect.getsource(FarDetector))
    named = NamedDetector("far/far", {"threshold": 0.25})
    stage = Annotate((named,), (str(plugin),), decoders=1)()
    try:
        (job,) = jobs_of([str(tmp_path / "photos")], str(tmp_path / "shards"))
        assert not [report.failed for report in run_here(stage, [job], lambda images: None) if report.failed]
        (scan,), (detector,) = stage.scans, stage.detectors
    finally:
        stage.close()
    sidecar = tmp_path / "images.regions.parquet"
    annotate_files(list_images(tmp_path / "photos"), tmp_path / "photos", {scan: detector}, sidecar)
    (ours,), (theirs,) = read_sidecar(str(sidecar)).rows(), read_sidecar(job.target).rows()
    assert ours == theirs
    assert ours["regions"][0]["box"] == [0, 0, 0.5, 0.25]
    assert json.loads(ours["scans"][0]["options"]) == {"max_side": 1600, "threshold": 0.25}


def test_an_entry_that_is_no_box_is_left_out_and_named(folder: Path, tmp_path: Path) -> None:
    """Of a side-car that another program has touched: training's reader keeps the rest, and so does a run's own."""
    sidecar, paths = tmp_path / "images.regions.parquet", list_images(folder)
    annotate_files(paths, folder, {"red": RedDetector()}, sidecar)
    known = read_sidecar(str(sidecar))
    rows = list(known.rows())
    (row,) = (row for row in rows if row["key"] == "a.png")
    row["regions"].append({**row["regions"][0], "box": [0.5, 0.2, 0.5, 0.4]})
    write_sidecar(str(sidecar), Sidecar.of(rows, files=known.files))
    pictures, skipped = annotate_files(paths, folder, {"red": RedDetector()}, sidecar)
    assert len(by_name(pictures)["a.png"].regions["sign"]) == 1
    assert "a.png: 1 region of" in skipped["a.png"]


def test_a_large_side_car_is_not_written_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A second an image, and a hundredth for each row that is written: a clock that the test turns."""

    class Clock:
        now = written = 0.0

        def monotonic(self) -> float:
            return self.now

    class Slow(RedDetector):
        def detect(self, images: Tensor) -> Regions:
            clock.now += 1
            return super().detect(images)

    def write(path: str, sidecar: Sidecar) -> None:
        clock.now, clock.written = clock.now + 0.01 * len(known), clock.written + 0.01 * len(known)
        write_sidecar(path, sidecar)
        lost.append(clock.now)

    clock, lost, known = Clock(), [0.0], annotate_pictures.Annotations().rows
    monkeypatch.setattr(annotate_pictures, "time", clock)
    monkeypatch.setattr(annotate_pictures, "write_sidecar", write)
    loaded = annotate_pictures.Annotations(tmp_path / "side.car", known, saved=0.0)
    monkeypatch.setattr(annotate_pictures.Annotations, "load", lambda path: loaded)
    (tmp_path / "photos").mkdir()
    for number in range(400):
        signed((8, 8), None).save(tmp_path / "photos" / f"{number:03d}.png")
    annotate_files(list_images(tmp_path / "photos"), tmp_path / "photos", {"red": Slow()}, tmp_path / "side.car")
    assert clock.written < 0.07 * clock.now
    waits = [after - before for before, after in pairwise(lost)]
    assert max(waits[:5]) < 8
    assert max(waits) < 0.25 * clock.now  # what a kill loses, seconds
    assert len(list(read_sidecar(str(tmp_path / "side.car")).rows())) == 400
