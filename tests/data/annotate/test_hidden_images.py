"""Images whose names have dots, or come twice: annotated each, or named; and side-cars from before that was so."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from shards import PLUGIN, Box, drawn, encoded, tar_of
from test_annotator import annotate, boxes_of
from typer.testing import CliRunner

from insighttok_ref.data.build import build_training_data
from insighttok_ref.data.options import DataOptions
from regionloss.cli.main import app
from regionloss.data.shards.atomic import write_whole
from regionloss.data.sidecars.sidecar import BOOK_KEY, Sidecar, read_sidecar, write_sidecar

TRACKS = [f"Track {n}.{m} ({how}).png" for n in (1, 2) for m in (0, 5) for how in ("Clean", "Live")]


def box(number: int) -> Box:
    return (2 + number, 3, 20 + number, 20)


def images(names: list[str]) -> dict[str, bytes]:
    return {name: encoded(drawn((60, 40), box(number))) for number, name in enumerate(names)}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGIONLOSS_HOME", str(tmp_path / "home"))


def notes(images: str, regions: str) -> tuple[str, ...]:
    """Return what a training says of images and their regions."""
    source = {"images": images, "regions": regions}
    return build_training_data(DataOptions(image_size=32, workers=0, sources={"all": source})).notes


def test_images_that_the_first_dot_would_hide_have_keys_up_to_the_last(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(tar_of(images(TRACKS) | {"notes.txt": b""}))
    said = CliRunner().invoke(
        app, ["annotate", f"{tmp_path}/a.tar", "--detectors", "red", "--plugin", PLUGIN, "--decoders", "1"]
    )
    assert "8, 8 of them with a row" in said.output
    assert "Keys reach to the last dot of a name: 1 of 1 shards" in said.output
    found = read_sidecar(f"{tmp_path}/a.regions.parquet")
    keys = [name.removesuffix(".png") for name in TRACKS]
    assert boxes_of(found) == {key: [list(box(number))] for number, key in enumerate(keys)}
    assert found.rule == "last dot"
    assert json.loads(pq.read_schema(f"{tmp_path}/a.regions.parquet").metadata[BOOK_KEY])["keys"] == "last dot"
    (note,) = notes(f"{tmp_path}/a.tar", str(tmp_path))
    assert note.startswith("Keys reach to the last dot of a name: 1 of 1 shards (")
    assert annotate(f"{tmp_path}/a.tar") == []


def test_what_is_still_hidden_is_named_on_the_console_in_the_stats_and_in_the_notes_of_a_training(
    tmp_path: Path,
) -> None:
    names = [f"{n}.{suffix}" for n in range(9) for suffix in ("png", "mask.png")]
    (tmp_path / "a.tar").write_bytes(tar_of(images([*names, "J. S 1.png", "J. S 2.png"])))
    said = CliRunner().invoke(
        app, ["annotate", f"{tmp_path}/a.tar", "--detectors", "red", "--plugin", PLUGIN, "--decoders", "1"]
    )
    sentence = "Images hidden by others of the same key: 10 in 1 of 1 shards. "
    sentence += f"{tmp_path}/a.tar: '0.mask.png', '1.mask.png', '2.mask.png', ..."
    assert sentence in said.output
    assert notes(f"{tmp_path}/a.tar", str(tmp_path)) == (sentence,)
    stats = json.loads((tmp_path / "a.stats.json").read_text())
    assert (stats["keys"], stats["counts"]["hidden"], len(stats["named"]["hidden"])) == ("first dot", 10, 10)
    assert stats["named"]["hidden"]["J"] == "Not used: 'J. S 2.png'"


def test_a_member_added_again_replaces_the_first_as_in_tar(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    old, new = images(["1.png", "2.png"]), encoded(drawn((60, 40), box(9)))
    path.write_bytes(tar_of(old))
    (tmp_path / "new.png").write_bytes(new)
    with tarfile.open(path, "a") as archive:
        archive.add(tmp_path / "new.png", "./1.png")
    (report,) = annotate(str(path))
    assert boxes_of(read_sidecar(report.job.target)) == {"1": [list(box(9))], "2": [list(box(1))]}
    assert (report.images, report.named) == (2, {"twice": 1})


def from_before(target: str, hidden: str) -> None:
    """Rewrite a side-car as it was before keys had a rule: with the first box for all, the hidden key in the stats."""
    found, stats = read_sidecar(target), Path(target.replace(".regions.parquet", ".stats.json"))
    rows = [{**row, "key": row["key"].partition(".")[0]} for row in found.rows()]
    regions = rows[0]["regions"]
    rows = [{**row, "regions": regions} for row in {row["key"]: row for row in rows}.values()]
    write_sidecar(target, Sidecar.of(rows, found.scans, found.shard))
    write_whole(str(stats), json.dumps({"counts": {"hidden": 1}, "named": {"hidden": {hidden: ""}}}).encode())


@pytest.mark.parametrize("names", [TRACKS, ["1.png", "2.png", "./1.png"]], ids=["dots", "twice"])
def test_a_side_car_in_which_images_hid_one_another_is_made_anew(names: list[str], tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(tar_of(images(names)))
    (first,) = annotate(str(path))
    right = boxes_of(read_sidecar(first.job.target))
    from_before(first.job.target, "1")
    assert any("have side-cars in which other images have their keys" in n for n in notes(str(path), str(tmp_path)))
    (again,) = annotate(str(path))
    assert boxes_of(read_sidecar(again.job.target)) == right
    assert not any("have side-cars" in note for note in notes(str(path), str(tmp_path)))


def test_a_side_car_from_before_in_which_none_was_hidden_is_as_good_as_ever(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(tar_of(images(["1.png", "2.b.png"])))
    (first,) = annotate(str(path))
    found = read_sidecar(first.job.target)
    write_sidecar(first.job.target, Sidecar.of(found.rows(), found.scans, found.shard))
    assert annotate(str(path)) == []
    assert notes(str(path), str(tmp_path)) == ()
