"""Names that look alike and are spelled with other characters (a Mac's files), in shards, side-cars and imports."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest
from shards import drawn, encoded, tar_of
from test_annotator import annotate, boxes_of
from typer.testing import CliRunner

from regionloss.cli.main import app
from regionloss.data.shards.shards import find_shards
from regionloss.data.sidecars.lookup import Sidecars
from regionloss.data.sidecars.sidecar import Sidecar, read_sidecar, write_sidecar

FORMS = ("NFC", "NFD")
IMAGE = encoded(drawn((60, 40), (3, 4, 23, 24)))


def spelled(form: str) -> str:
    return unicodedata.normalize(form, "Zoë’s café 한글")


@pytest.fixture(params=["tar", "folder"])
def images(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a place for images as `shard` makes them."""
    monkeypatch.setenv("REGIONLOSS_HOME", str(tmp_path / "home"))
    return tmp_path / ("photos.tar" if request.param == "tar" else "photos")


def shard(place: Path, *forms: str) -> None:
    """Write images whose names are spelled in these forms."""
    members = {f"{spelled(form)}.png": IMAGE for form in forms}
    if place.suffix:
        place.write_bytes(tar_of(members))
        return
    place.mkdir()
    for name, contents in members.items():
        (place / name).write_bytes(contents)


def found_in_training(place: Path) -> list[list[float]]:
    """Return the boxes that a training has of each image of a shard."""
    (source,) = find_shards(str(place))
    sidecars = Sidecars(str(place.parent))
    found = [sidecars(source.path, key, (60, 40)).regions for key in source.keys()]  # noqa: SIM118
    return [regions["sign"].boxes.round().tolist() for regions in found]


@pytest.mark.parametrize("theirs", FORMS)
@pytest.mark.parametrize("form", FORMS)
def test_a_side_car_joins_whatever_its_keys_and_the_images_are_spelled_as(images: Path, form: str, theirs: str) -> None:
    shard(images, form)
    (report,) = annotate(str(images))
    known = read_sidecar(report.job.target)
    rows = [row | {"key": unicodedata.normalize(theirs, row["key"])} for row in known.rows()]
    files = {unicodedata.normalize(theirs, key): mark for key, mark in known.files.items()}
    write_sidecar(report.job.target, Sidecar.of(rows, known.scans, known.shard, files, known.rule))
    assert found_in_training(images) == [[[3, 4, 23, 24]]]
    assert annotate(str(images)) == []


def test_two_images_whose_names_look_alike_are_two(images: Path) -> None:
    shard(images, *FORMS)
    (report,) = annotate(str(images))
    assert (report.images, report.rows, report.named) == (2, 2, {})
    assert len(boxes_of(read_sidecar(report.job.target))) == 2
    assert found_in_training(images) == [[[3, 4, 23, 24]]] * 2


@pytest.mark.parametrize("form", FORMS)
def test_an_import_finds_an_image_however_its_name_is_spelled(images: Path, form: str, tmp_path: Path) -> None:
    shard(images, form)
    coco = {"images": [{"id": 1, "file_name": f"{spelled('NFC')}.png", "width": 60, "height": 40}]}
    coco |= {"annotations": [{"image_id": 1, "category_id": 1, "bbox": [3, 4, 20, 20]}]}
    (tmp_path / "coco.json").write_text(json.dumps(coco | {"categories": [{"id": 1, "name": "sign"}]}))
    words = ["regions", "import", str(tmp_path / "coco.json"), "--images", str(images), "--format", "coco"]
    said = CliRunner().invoke(app, words)
    assert said.output.startswith("1 region of 1 image now in"), said.output
    assert found_in_training(images) == [[[3, 4, 23, 24]]]
    assert read_sidecar(f"{tmp_path}/photos.regions.parquet").rule == ("first dot" if images.suffix else "")
