"""`regions` as it is typed: from a format and back, pictures, counts, and what is said of files that are none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

from regionloss.cli.main import app
from regionloss.data.sidecars.lookup import Sidecars
from regionloss.data.sidecars.sidecar import read_sidecar, scanned_kinds

SIZE = (200, 100)
KPS = [[50.0, 40.0], [70.0, 40.0], [60.0, 50.0], [52.0, 60.0], [68.0, 60.0]]
COCO = {
    "images": [{"id": 1, "file_name": "a.png", "width": 200, "height": 100}],
    "annotations": [
        {"image_id": 1, "category_id": 1, "bbox": [20, 10, 60, 40], "keypoints": [30, 20, 2, 0, 0, 0], "score": 0.5},
        {"image_id": 1, "category_id": 2, "bbox": [100, 50, 80, 20], "text": "Straße"},
    ],
    "categories": [{"id": 1, "name": "face"}, {"id": 2, "name": "text"}],
}
TEXTS = [{"file_name": "a.png", "height": 100, "width": 200}]
TEXTS[0]["annotations"] = [{"rec": "Ab", "bbox": [20, 10, 80, 30], "ratio": 0.15}]
FACES = [{"image_name": "a.png", "img_height": 100, "img_width": 200}]
FACES[0]["faces"] = [{"kps": KPS, "box": [40, 20, 80, 70], "ratio": 0.25, "gt": 1}]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REGIONLOSS_PLUGINS", "")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", SIZE, "black").save(tmp_path / "photos" / name)
    return tmp_path


def regions(*words: str, code: int = 0) -> str:
    """Return what a command prints; it ends with `code`, and never with a traceback."""
    result = CliRunner().invoke(app, ["regions", *words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def written(name: str, value: Any) -> str:
    Path(name).write_text(json.dumps(value), encoding="utf-8")
    return name


def imported(source: str, form: str, *more: str, code: int = 0) -> str:
    return regions("import", source, "--images", "photos", "--format", form, "--out", "regions", *more, code=code)


def test_coco_goes_there_and_back(folder: Path) -> None:
    assert imported(written("coco.json", COCO), "coco") == "2 regions of 1 image now in regions/photos.regions.parquet."
    assert regions("export", "regions/", "--format", "coco", "--out", "out/back.json").startswith("2 regions")
    back = json.loads((folder / "out" / "back.json").read_text())
    kinds = {one["id"]: one["name"] for one in back["categories"]}
    found = {kinds[one["category_id"]]: one for one in back["annotations"]}
    assert found["face"]["bbox"] == pytest.approx([20, 10, 60, 40], abs=1e-4)
    assert found["face"]["keypoints"] == pytest.approx([30, 20, 2, 0, 0, 0], abs=1e-4)
    assert (found["face"]["score"], found["text"]["text"]) == (0.5, "Straße")
    assert back["images"] == COCO["images"]


@pytest.mark.parametrize(("kind", "given"), [("text", TEXTS), ("face", FACES)])
def test_tokbench_goes_there_and_back(folder: Path, kind: str, given: list[dict[str, Any]]) -> None:
    imported(written("bench.json", given), "tokbench")
    regions("export", "regions/photos.parquet", "--format", "tokbench", "--kind", kind, "--out", "back.json")
    (back,) = json.loads((folder / "back.json").read_text())
    if kind == "text":
        assert back["annotations"] == [
            {"rec": "Ab", "bbox": pytest.approx([20, 10, 80, 30], abs=1e-4), "ratio": pytest.approx(0.15)}
        ]
    else:
        assert [v for pair in back["faces"][0]["kps"] for v in pair] == pytest.approx(
            [v for pair in KPS for v in pair], abs=1e-4
        )
        assert back["faces"][0]["box"] == pytest.approx([40, 20, 80, 70], abs=1e-4)


def test_img2dataset_goes_there_and_back(folder: Path) -> None:
    columns = {"key": ["a.png", "b.png"], "width": [200, 200], "height": [100, 100]}
    pq.write_table(pa.table(columns | {"faces": [[[0.1, 0.2, 0.5, 0.6]], []]}), "meta.parquet")
    imported("meta.parquet", "img2dataset", "--kind", "face", "--column", "faces")
    assert read_sidecar("regions/photos.regions.parquet")["b.png"]["regions"] == []
    words = ["--format", "img2dataset", "--kind", "face", "--column", "faces", "--out", "back.parquet"]
    assert regions("export", "regions", *words) == "1 region written to back.parquet."
    table = pq.ParquetFile("back.parquet", pre_buffer=False).read(use_threads=False).to_pydict()
    assert (table["key"], table["faces"][1]) == (["a.png", "b.png"], [])
    assert table["faces"][0][0] == pytest.approx([0.1, 0.2, 0.5, 0.6])


def test_formats_add_up_and_an_import_again_replaces_its_own(folder: Path) -> None:
    for source, form in (("coco.json", "coco"), ("bench.json", "tokbench"), ("coco.json", "coco")):
        imported(written(source, COCO if form == "coco" else FACES), form)
    found = read_sidecar("regions/photos.regions.parquet")["a.png"]["regions"]
    assert [region["detector"] for region in found] == ["coco", "coco", "tokbench"]


def test_a_kind_of_two_reaches_training_and_none_found_is_empty(folder: Path) -> None:
    images = [*COCO["images"], {"id": 2, "file_name": "b.png", "width": 200, "height": 100}]
    imported(written("coco.json", COCO | {"images": images}), "coco")
    sidecars = Sidecars("regions")
    found = sidecars("photos", "a.png", SIZE).regions
    assert found["face"].boxes.tolist() == [pytest.approx([20, 10, 80, 50])]
    assert found["text"].boxes.tolist() == [pytest.approx([100, 50, 180, 70])]
    assert {kind: len(regions) for kind, regions in sidecars("photos", "b.png", SIZE).regions.items()} == {
        "face": 0,
        "text": 0,
    }


def found_in(key: str = "a.png") -> dict[str, Any]:
    """Return the kinds that were looked for in an image, and kind, left end and source of its regions."""
    row = read_sidecar("regions/photos.regions.parquet")[key]
    regions = [(r["kind"], round(r["box"][0], 3), r["detector"]) for r in row["regions"]]
    assert len({scan["detector"] for scan in row["scans"]}) == len(row["scans"])
    return {"kinds": scanned_kinds(row["scans"]), "regions": regions}


@pytest.mark.parametrize("order", [(TEXTS, FACES), (FACES, TEXTS)])
def test_kinds_of_one_format_add_up_and_a_kind_again_replaces_its_own(folder: Path, order: tuple[Any, Any]) -> None:
    for given in order:
        imported(written("bench.json", given), "tokbench")
    both = {"kinds": ["face", "text"], "regions": [("face", 0.2, "tokbench"), ("text", 0.1, "tokbench")]}
    assert found_in() == both
    moved = [TEXTS[0] | {"annotations": [{"rec": "Ab", "bbox": [100, 10, 180, 30]}]}]
    imported(written("bench.json", moved), "tokbench")
    assert found_in() == both | {"regions": [("face", 0.2, "tokbench"), ("text", 0.5, "tokbench")]}
    for kind, left in (("face", 0.25), ("hand", 0.75), ("face", 0.5)):
        columns = {"key": ["a.png"], "width": [200], "height": [100], "bbox": [[[left, 0.2, 0.9, 0.6]]]}
        pq.write_table(pa.table(columns), "meta.parquet")
        imported("meta.parquet", "img2dataset", "--kind", kind)
    assert found_in()["regions"][:2] == [("face", 0.5, "img2dataset"), ("hand", 0.75, "img2dataset")]
    assert found_in()["kinds"] == ["face", "hand", "text"]


def test_a_row_keeps_what_other_kinds_of_one_scan_say(folder: Path) -> None:
    imported(written("coco.json", COCO), "coco")
    faces = COCO | {"categories": COCO["categories"][:1], "annotations": []}
    imported(written("coco.json", faces), "coco")
    assert found_in() == {"kinds": ["face", "text"], "regions": [("text", 0.5, "coco")]}


def test_an_image_that_exif_turns_is_refused_where_it_was_annotated_unturned(folder: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", SIZE, "black").save("photos/turned.jpg", exif=turned)
    Image.new("RGB", (400, 200), "black").save("photos/large.png")
    names = ("a.png", "turned.jpg", "large.png")
    said = imported(written("bench.json", [TEXTS[0] | {"file_name": name} for name in names]), "tokbench")
    assert said.startswith("2 regions of 2 images now in")
    assert "Left out: 1 image of another aspect" in said
    assert (
        "the first is 'turned.jpg', 200 x 100, annotated as 100 x 200. The sides are exchanged, as where EXIF" in said
    )
    rows = read_sidecar("regions/photos.regions.parquet")
    assert {row["key"]: (row["width"], row["height"]) for row in rows.rows()} == {
        "a.png": SIZE,
        "large.png": (400, 200),
    }
    upright = [TEXTS[0] | {"file_name": "turned.jpg", "width": 100, "height": 200}]
    assert imported(written("bench.json", upright), "tokbench").startswith("1 region of 1 image now in")
    assert len(Sidecars("regions")("photos", "turned.jpg", (100, 200)).regions["text"]) == 1
    # The picture was exchanged for another: what was said of the old one is gone with it.
    Image.new("RGB", SIZE, "black").save("photos/turned.jpg")
    assert Sidecars("regions")("photos", "turned.jpg", SIZE)[:2] == ({}, {"text/aspect": 1})
    said = regions("show", "regions/photos.parquet", "--images", "photos")
    assert "Without regions: 1 image of another aspect than in the side-car" in said
    imported(written("faces.json", [FACES[0] | {"image_name": "turned.jpg"}]), "tokbench")
    assert found_in("turned.jpg") == {"kinds": ["face"], "regions": [("face", 0.2, "tokbench")]}


def test_a_side_car_of_another_shard_is_not_written_over(folder: Path) -> None:
    imported(written("bench.json", TEXTS), "tokbench")
    (folder / "more" / "photos").mkdir(parents=True)
    Image.new("RGB", SIZE).save("more/photos/c.png")
    words = ["--images", "more/photos", "--format", "tokbench", "--out", "regions"]
    said = regions("import", written("c.json", [TEXTS[0] | {"file_name": "c.png"}]), *words, code=2)
    assert "expected the side-car of more/photos, got that of another shard, with keys such as 'a.png'" in said
    assert found_in()["kinds"] == ["text"]


def test_one_name_of_two_images_is_not_exported(folder: Path) -> None:
    imported(written("bench.json", TEXTS), "tokbench")
    shutil.copy("regions/photos.regions.parquet", "regions/other.regions.parquet")
    for form in ("coco", "tokbench", "img2dataset"):
        said = regions("export", "regions", "--format", form, "--out", "out.json", code=2)
        assert "expected keys of its own, got 'a.png', which regions/other.regions.parquet has, too." in said
    assert not (folder / "out.json").exists()
    twice = ["regions/photos.parquet", "regions/photos.regions.parquet"]
    assert regions("export", *twice, "--format", "coco", "--out", "out.json") == "1 region written to out.json."
    said = regions("export", "regions/photos.parquet", "--format", "tokbench", "--kind", "face", "--out", "out.json")
    assert said == (
        "0 regions written to out.json. Left out: 1, images without a face that TokBench can use. "
        "Left out: 1, regions of another kind than face."
    )


def test_the_side_car_goes_before_metadata_of_the_same_name(folder: Path) -> None:
    imported(written("bench.json", TEXTS), "tokbench")
    pq.write_table(pa.table({"key": ["a.png"]}), "regions/photos.parquet")
    assert regions("show", "regions/photos.parquet", "--images", "photos").startswith("1 of 1 image drawn")
    assert "text 1 1 1" in regions("stats", "regions/photos*.parquet")
    Path("regions/photos.regions.parquet").rename("regions/else.parquet")
    assert regions("show", "regions/else.parquet", "--images", "photos").startswith("1 of 1 image drawn")
    assert "a Parquet file that is none" in regions("stats", "regions/photos.parquet", code=2)


def test_a_picture_shows_keypoints_of_other_numbers(folder: Path) -> None:
    one = {"image_id": 1, "category_id": 1, "bbox": [20, 10, 60, 40]}
    more = [[30, 30, 2], [30, 30, 2, 50, 30, 2], []]
    faces = [one | {"keypoints": points} for points in more]
    imported(written("coco.json", COCO | {"annotations": faces}), "coco")
    regions("show", "regions/photos.parquet", "--images", "photos")
    with Image.open("regions.png") as picture:
        assert {picture.getpixel((x, 29)) for x in (30, 50)} == {(255, 59, 48)}
        assert picture.getpixel((40, 29)) == (0, 0, 0)


def test_a_picture_shows_each_kind_in_its_colour_and_the_table_counts(folder: Path) -> None:
    imported(written("coco.json", COCO), "coco")
    assert regions("show", "regions/photos.parquet", "--images", "photos", "--limit", "16").startswith(
        "1 of 1 image drawn"
    )
    with Image.open("regions.png") as picture:
        face, text = picture.getpixel((20, 30)), picture.getpixel((100, 60))
    assert (face, text) == ((255, 59, 48), (52, 199, 89))
    said = regions("stats", "regions/")
    # The middle square of 200 x 100 is x from 50 to 150: of the face 30 of 60 columns, of the text 50 of 80 are left.
    assert "face 1 1 1 40 / 40 / 40 px" in said
    assert said.count("1 (100%)") == 2
    with Image.open("regions-stats.png") as plot:
        assert plot.width > 500


IMAGE, BOX = COCO["images"][0], {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}


@pytest.mark.parametrize(
    ("form", "content", "said"),
    [
        ("coco", COCO | {"categories": [{}]}, "without name, or with a comma in it"),
        ("coco", COCO | {"categories": [{"id": 1, "name": "fruit, other"}]}, "with a comma in it. The first: 'fruit"),
        ("coco", COCO | {"images": [{"id": 1, "file_name": "a.png"}]}, "without width and height in pixels"),
        ("coco", COCO | {"images": [IMAGE | {"width": 0}]}, "without width and height in pixels"),
        ("coco", COCO | {"annotations": [BOX | {"bbox": 7}]}, "none that can be kept. Left out: 1, not four numbers"),
        ("coco", COCO | {"annotations": [BOX | {"bbox": [1, 2]}]}, "Left out: 1, not four numbers. The first: 'a.png'"),
        ("coco", {"images": [], "annotations": []}, "none that can be kept"),
        ("coco", TEXTS, "expected a COCO file"),
        ("tokbench", COCO, "expected a list of images of TokBench"),
        ("tokbench", [TEXTS[0] | {"height": "x"}], "Left out: 1, images without width and height in pixels"),
        ("tokbench", [TEXTS[0] | {"annotations": [{"rec": "a", "bbox": 7}]}], "Left out: 1, not four numbers"),
        ("tokbench", [FACES[0] | {"faces": [{"kps": 5, "box": []}]}], "Left out: 1, not four numbers"),
        ("img2dataset", COCO, "expected a Parquet file"),
    ],
)
def test_a_file_of_another_shape_is_a_sentence(folder: Path, form: str, content: Any, said: str) -> None:
    sentence = imported(written("bad.json", content), form, code=2)
    assert said in sentence
    assert "bad.json" in sentence
    assert not (folder / "regions").exists()


def test_a_number_is_a_text(folder: Path) -> None:
    imported(written("bench.json", [TEXTS[0] | {"annotations": [{"rec": 5, "bbox": [1, 2, 9, 9]}]}]), "tokbench")
    assert read_sidecar("regions/photos.regions.parquet")["a.png"]["regions"][0]["text"] == "5"


def test_what_is_not_there_is_a_sentence(folder: Path) -> None:
    assert imported("none.json", "coco", code=2) == "none.json: there is no such file."
    missing = regions("import", written("c.json", COCO), "--images", "x.tar", "--format", "coco", code=2)
    assert missing == "--images: expected a tar file or a folder of images, got 'x.tar', which is none."
    assert "got 'nowhere', which is none" in regions("stats", "nowhere/", code=2)
    assert "a folder without any" in regions("stats", "photos", code=2)
    imported("c.json", "coco")
    assert "'nowhere', which is none" in regions("show", "regions/photos.parquet", "--images", "nowhere", code=2)
    keyed = regions("show", "regions/photos.parquet", "--images", "photos", "--key", "a.pgn", code=2)
    assert "Did you mean 'a.png'?" in keyed


def test_a_source_without_scores_is_shown_without_any(folder: Path) -> None:
    imported(written("tokbench.json", TEXTS), "tokbench")
    assert " - 1 (100%)" in regions("stats", "regions/photos*.parquet")
    imported(written("coco.json", COCO), "coco")
    assert " 0.50 / 0.50 / 0.50 1 (100%)" in regions("stats", "regions/photos*.parquet")
