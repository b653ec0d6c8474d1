"""Imports that cannot keep all: what is left out is counted and named, and an import that keeps nothing is refused."""

from __future__ import annotations

import json
import tarfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

from regionloss.cli.main import app
from regionloss.data.sidecars.sidecar import Scan, Sidecar, read_sidecar, scanned_kinds, write_sidecar

SIZE = (200, 100)
A, B = ({"id": n, "file_name": f"{name}.png", "width": 200, "height": 100} for n, name in ((1, "a"), (2, "b")))
BOX = {"image_id": 1, "category_id": 1, "bbox": [20, 10, 60, 40]}
COCO = {"images": [A, B], "annotations": [BOX], "categories": [{"id": 1, "name": "face"}]}
QUAD = [20.0, 10.0, 80.0, 10.0, 80.0, 50.0, 22.0, 50.0]
FORMATS = ("coco", "tokbench", "img2dataset")
MASK = {"counts": [1, 2], "size": [100, 200]}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REGIONLOSS_PLUGINS", "")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", SIZE).save(tmp_path / "photos" / name)
    return tmp_path


def imported(content: Any, form: str, *more: str, code: int = 0) -> str:
    """Return what the import of JSON, of text as it is, or of columns says."""
    source = "meta.parquet" if isinstance(content, pa.Table) else "given.json"
    if isinstance(content, pa.Table):
        pq.write_table(content, source)
    else:
        Path(source).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    words = ["regions", "import", source, "--images", "photos", "--format", form, "--out", "out", *more]
    result = CliRunner().invoke(app, words)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, result.output
    if code:
        assert source in result.output or "--images" in result.output
        assert not Path("out").exists()
    return " ".join(result.output.split())


def kept() -> dict[str, tuple[list[str], list[list[float]]]]:
    """Return, by key, the kinds that were looked for and the boxes in pixels."""
    rows = read_sidecar("out/photos.regions.parquet").rows()
    scale = [*SIZE, *SIZE]
    return {
        row["key"]: (
            scanned_kinds(row["scans"]),
            [[round(v * s, 2) for v, s in zip(r["box"], scale, strict=True)] for r in row["regions"]],
        )
        for row in rows
    }


def table(column: Any, kind: Any = None) -> pa.Table:
    values = pa.array(column, kind) if kind is not None else pa.array(column)
    count = len(column)
    facts = {"key": ["a.png", "b.png"][:count], "width": [200] * count, "height": [100] * count}
    return pa.table(facts | {"bbox": values})


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ([[[20.0, 10.0, 80.0, 50.0]], [[0.0, 0.0, 50.0, 50.0]] * 2], "3, boxes with numbers above 1: expected shares"),
        (["a face here", "none"], "2, images whose 'bbox' is no list of boxes"),
        ([b"abc", b"def"], "2, images whose 'bbox' is no list of boxes"),
        ([[0.1, 0.2, 0.5, 0.6] * 2] * 2, "2, images whose 'bbox' is no list of boxes"),
        ([{"x1": 0.1}] * 2, "2, images whose 'bbox' is no list of boxes"),
        ([{"x1": [0.1], "y1": [0.2]}] * 2, "2, images whose 'bbox' is no list of boxes"),
        ([[{"x1": 0.1}]] * 2, "2, images whose 'bbox' is no list of boxes"),
        ([[["0.1", "0.2", "0.5", "0.6"]]] * 2, "2, not four numbers"),
        ([[[0.1, 0.2, 0.5]], [[float("nan")] * 4]], "2, not four numbers"),
        ([[[None] * 4], [None] * 2], "1, images whose 'bbox' is no list of boxes"),
        ([None, None], "2, images without success, size or boxes"),
        ([7, 8], "2, images whose 'bbox' is no list of boxes"),
    ],
)
def test_a_column_in_which_no_box_can_be_kept_is_refused(folder: Path, column: list[Any], said: str) -> None:
    sentence = imported(table(column), "img2dataset", code=2)
    assert f"none that can be kept. Left out: {said}" in sentence
    assert "'a.png'" in sentence


def test_boxes_as_json_or_flat_are_read(folder: Path) -> None:
    imported(table(["[[0.1, 0.2, 0.5, 0.6], [0.1, 0.2, 0.3, 0.4]]", "[]"]), "img2dataset")
    assert kept() == {"a.png": (["text"], [[20, 20, 100, 60], [20, 20, 60, 40]]), "b.png": (["text"], [])}
    imported(table([[0.1, 0.2, 0.5, 0.6], []]), "img2dataset")
    assert kept() == {"a.png": (["text"], [[20, 20, 100, 60]]), "b.png": (["text"], [])}


def test_an_image_whose_regions_were_left_out_was_not_looked_at(folder: Path) -> None:
    said = imported(table([[[0.1, 0.2, 0.5, 0.6], [5.0, 5.0, 9.0, 9.0]], [[20.0, 10.0, 80.0, 50.0]]]), "img2dataset")
    assert "Left out: 2, boxes with numbers above 1" in said
    assert kept() == {"a.png": (["text"], [[20, 20, 100, 60]])}
    kinds = [{"id": 1, "name": "face"}, {"id": 2, "name": "text"}]
    annotations = [BOX, BOX | {"category_id": 2, "bbox": [1]}, BOX | {"image_id": 2, "iscrowd": 1}]
    said = imported(COCO | {"categories": kinds, "annotations": annotations}, "coco", "--out", "other")
    rows = {row["key"]: scanned_kinds(row["scans"]) for row in read_sidecar("other/photos.regions.parquet").rows()}
    assert rows == {"a.png": ["face"], "b.png": ["text"]}


def test_an_import_keeps_a_copy_of_a_damaged_side_car_and_says_what_is_in_it_alone(folder: Path) -> None:
    imported(COCO, "coco")
    target = Path("out/photos.regions.parquet")
    target.write_bytes(damaged := target.read_bytes()[:-40] + b"x" * 40)
    said = imported(COCO, "coco")
    (copy,) = Path("out").glob("*.damaged")
    assert said.startswith(
        "1 region of 2 images now in out/photos.regions.parquet. out/photos.regions.parquet: expected"
    )
    assert f"It is kept as {copy}. What was in it is in that alone" in said
    assert copy.read_bytes() == damaged
    assert kept()["a.png"] == (["face"], [[20, 10, 80, 50]])


def test_ids_are_the_same_as_text_and_as_numbers(folder: Path) -> None:
    one = BOX | {"image_id": "1", "category_id": 1.0}
    assert imported(COCO | {"annotations": [one]}, "coco").startswith("1 region of 2 images")
    assert imported(COCO | {"images": [A | {"id": "7"}], "annotations": [one | {"image_id": 7}]}, "coco") == (
        "1 region of 1 image now in out/photos.regions.parquet."
    )


def test_one_bad_entry_does_not_reject_the_others(folder: Path) -> None:
    images = [A, {"id": 2, "file_name": "b.png"}, {"id": 3}, 5, A | {"id": 1}]
    bad: list[Any] = [{k: v for k, v in BOX.items() if k != "bbox"}, BOX | {"image_id": 2}, BOX | {"category_id": 9}]
    bad += [None, BOX | {"bbox": ["1", "2", "3", "4"]}, BOX | {"bbox": [1, 2, -3, 4]}, BOX | {"image_id": [1]}]
    odd = BOX | {"keypoints": [1, 2], "score": "x", "text": ["a"], "segmentation": MASK, "attributes": 3}
    said = imported(COCO | {"images": images, "annotations": [BOX, *bad, odd]}, "coco")
    assert said.startswith("2 regions of 1 image")
    for reason in (
        "2, not four numbers. The first: 'a.png'",
        "1, images without width and height in pixels. The first: 'b.png'",
        "3, of an image that is not listed, or is left out",
        "1, of a category that is not listed, or is left out. The first: 'category 9'",
        "1, empty, inverted or outside",
        "1, outlines other than of four corners",
        "1, keypoints other than x, y, visibility",
        "1, scores that are no numbers",
        "1, texts that are none",
    ):
        assert f"Left out: {reason}" in said


@pytest.mark.parametrize("outline", [[QUAD], QUAD])
def test_an_annotation_without_box_has_that_around_its_outline(folder: Path, outline: Any) -> None:
    bare = {"image_id": 1, "category_id": 1}
    triangles = [[0, 0, 10, 0, 10, 10], [50, 50, 60, 50, 60, 70]]
    annotations = [bare | {"segmentation": outline}, bare | {"segmentation": triangles}, bare | {"segmentation": MASK}]
    said = imported(COCO | {"annotations": [*annotations, bare | {"bbox": QUAD}]}, "coco")
    assert "Left out: 1, not four numbers" in said
    assert kept()["a.png"][1] == [[20, 10, 80, 50], [0, 0, 60, 70], [20, 10, 80, 50]]
    quads = [r["quad"] for r in read_sidecar("out/photos.regions.parquet")["a.png"]["regions"]]
    expected = pytest.approx([v / SIZE[i % 2] for i, v in enumerate(QUAD)])
    assert quads == [expected, None, expected]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (COCO | {"annotations": [BOX | {"image_id": "one"}]}, "1, of an image that is not listed"),
        ({name: value for name, value in COCO.items() if name != "categories"}, "1, of a category that is not listed"),
        (COCO | {"annotations": [BOX | {"bbox": [0.1, 0.1, 0.3, 0.4]}]}, "expected boxes in pixels, got numbers from"),
        (COCO | {"annotations": [BOX | {"iscrowd": 1}]}, "1, crowd"),
        (COCO | {"images": [A | {"width": float("inf")}]}, "1, images without width and height in pixels"),
        (COCO | {"images": [A | {"width": 2**31}]}, "1, images without width and height in pixels"),
        (COCO | {"annotations": [BOX | {"bbox": [float("inf"), 0, 1, 1]}]}, "1, not four numbers"),
        (COCO | {"annotations": [BOX | {"bbox": [10**400, 0, 1, 1]}]}, "1, not four numbers"),
        ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
        ('{"images": [], "annotations": [], "x": %s}' % ("9" * 5000), "got something else (Exceeds the limit"),
        ("\x00", "expected a JSON file"),
    ],
)
def test_a_file_of_which_nothing_can_be_kept_is_refused(folder: Path, content: Any, said: str) -> None:
    assert said in imported(content, "coco", code=2)


def test_numbers_and_letters_that_no_file_holds_are_left_out(folder: Path) -> None:
    odd = BOX | {"score": 10**400, "text": "\ud800", "keypoints": [10**400, 5, 2, 1e300, 5, 2, 30, 20, 2]}
    imported(COCO | {"annotations": [odd, BOX | {"score": float("nan")}]}, "coco")
    first, second = read_sidecar("out/photos.regions.parquet")["a.png"]["regions"]
    assert (first["score"], second["score"], first["text"]) == (1.0, 1.0, "\\ud800")
    assert [value == value for value in first["keypoints"]] == [False, True, False, True, True, True]


def test_a_path_with_a_nul_is_a_sentence(folder: Path) -> None:
    words = ["import", "a\0.json", "--images", "photos", "--format", "coco"]
    result = CliRunner().invoke(app, ["regions", *words])
    assert (result.exit_code, "cannot be read" in result.output) == (2, True), result.exception


def test_names_are_keys_with_their_suffix_or_without_and_in_any_spelling(folder: Path) -> None:
    names = {"cafe\u0301.png": "caf\u00e9.png", "sub/b.x.png": "sub/b.x.png"}
    with tarfile.open("photos.tar", "w") as archive:
        for name in names:
            archive.add("photos/a.png", name)
    images = [A | {"id": n, "file_name": name} for n, name in enumerate(names.values())]
    annotations = [BOX | {"image_id": n} for n in range(len(images))]
    said = imported(COCO | {"images": images, "annotations": annotations}, "coco", "--images", "photos.tar")
    assert said.startswith("2 regions of 2 images"), said


def test_entries_that_are_no_boxes_are_left_out_of_pictures_counts_and_exports(folder: Path) -> None:
    good = {"kind": "face", "box": [0.1, 0.1, 0.4, 0.5], "score": 0.5, "detector": "some", "keypoints": None}
    nan = float("nan")
    odd: list[dict[str, Any]] = [{"box": [nan, 0, 1, 1]}, {"box": [0.4, 0.1, 0.1, 0.5]}, {"score": nan}]
    odd += [{"box": [2.0, 0, 3, 1]}, {"box": [0, 0, 1, float("inf")]}]
    points = good | {"keypoints": [float("inf"), 0.5, 0.2, 0.2]}
    scans = [asdict(Scan("some", kind="face"))]
    row = {"key": "a.png", "width": 200, "height": 100, "scans": scans}
    write_sidecar("a.regions.parquet", Sidecar.of([row | {"regions": [points, *(good | one for one in odd)]}]))
    for words in (
        ["stats", "a.parquet"],
        ["show", "a.parquet", "--images", "photos"],
        *(["export", "a.parquet", "--kind", "face", "--format", form, "--out", "o.json"] for form in FORMATS),
    ):
        result = CliRunner().invoke(app, ["regions", *words])
        assert (result.exit_code, "Left out: 5 regions of" in result.output) == (0, True), result.output
        if words[-1] == "o.json" and "img2dataset" not in words:
            json.loads(Path("o.json").read_text(), parse_constant=pytest.fail)


def test_regions_of_images_of_another_aspect_alone_are_refused(folder: Path) -> None:
    said = imported(COCO | {"images": [A | {"height": 200}, B]}, "coco", code=2)
    assert "expected images that the file describes, got none of them. Left out: 1 image of another aspect" in said


def test_only_what_the_shard_holds_is_counted_and_none_of_it_is_an_error(folder: Path) -> None:
    word = {"rec": "Ab", "bbox": [20, 10, 80, 30], "ratio": 0.15}
    own = {"file_name": "a.png", "height": 100, "width": 200, "annotations": [word]}
    other = own | {"file_name": "c.png"}
    said = imported([other], "tokbench", code=2)
    assert said.startswith("--images 'photos': expected images that the file describes, got none of them.")
    assert "the first is 'c.png'. Its keys are such as 'a.png'." in said
    said = imported([own, other], "tokbench")
    assert said.startswith("1 region of 1 image now in")
    assert "Left out: 1 image that photos does not hold" in said
