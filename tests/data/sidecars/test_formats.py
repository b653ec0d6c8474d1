"""Regions from and to the formats of others, and the schema page; the numbers are written out by hand."""

from __future__ import annotations

import json
import math
import random
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from regionloss.data.sidecars.formats.coco import read_coco, write_coco
from regionloss.data.sidecars.formats.img2dataset import read_img2dataset, write_img2dataset
from regionloss.data.sidecars.formats.tokbench import read_tokbench, write_tokbench
from regionloss.data.sidecars.sidecar import Scan, Sidecar, scanned_kinds, schema
from regionloss.errors import InputError

NAN = float("nan")
PAGE = Path(__file__).parents[3] / "docs" / "reference" / "side-car.md"


def test_the_page_names_every_field_of_the_schema_and_no_other() -> None:
    fields = []
    for field in schema():
        fields.append(field.name)
        if pa.types.is_list(field.type):
            fields += [f"{field.name}.{inner.name}" for inner in field.type.value_type]
    lines = PAGE.read_text(encoding="utf-8").partition("## Schema")[2].partition("\n\nBoxes")[0].splitlines()
    named = [name.strip("` ") for line in lines if line.startswith("| `") for name in line.split("|")[1].split(",")]
    assert named == fields


def test_coco_boxes_are_corner_and_size_and_unlabelled_points_are_unknown(tmp_path: Path) -> None:
    path = tmp_path / "coco.json"
    images = [{"id": 7, "file_name": "sub/a.b.jpg", "width": 200, "height": 100}]
    images.append({"id": 8, "file_name": "none.jpg", "width": 10, "height": 10})
    one = {"image_id": 7, "category_id": 1, "bbox": [20, 10, 100, 50], "keypoints": [40, 20, 2, 0, 0, 0]}
    crowd, slim = one | {"iscrowd": 1}, one | {"bbox": [20, 10, 0, 50]}
    stray = one | {"image_id": 9}
    found = {"images": images, "annotations": [one, crowd, slim, stray], "categories": [{"id": 1, "name": "face"}]}
    path.write_text(json.dumps(found))
    imported = read_coco(str(path))
    region = imported.rows["sub/a.b.jpg"]["regions"][0]
    assert region["box"] == [0.1, 0.1, 0.6, 0.6]
    assert region["keypoints"] == pytest.approx([0.2, 0.2, float("nan"), float("nan")], nan_ok=True)
    assert imported.rows["none.jpg"]["regions"] == []
    assert sum(imported.dropped.values()) == 3
    rows = list(Sidecar.of(imported.rows.values()).rows())
    assert write_coco(str(tmp_path / "out.json"), rows) == (1, {})
    written = json.loads((tmp_path / "out.json").read_text())["annotations"][0]
    assert written["bbox"] == pytest.approx([20, 10, 100, 50], abs=1e-4)
    assert written["keypoints"] == pytest.approx([40, 20, 2, 0, 0, 0], abs=1e-4)


def test_tokbench_texts_and_faces_go_there_and_back(tmp_path: Path) -> None:
    text = [{"file_name": "a.jpg", "height": 100, "width": 200}]
    text[0]["annotations"] = [{"rec": "Straße", "bbox": [20, 10, 80, 30], "ratio": 0.05}]
    face = [{"image_name": "f.jpg", "img_height": 100, "img_width": 200}]
    kps = [[50, 40], [70, 40], [60, 50], [52, 60], [68, 60]]
    face[0]["faces"] = [{"kps": kps, "box": [40, 20, 80, 70], "ratio": 0.25, "gt": 1}]
    for name, content in (("text", text), ("face", face)):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(content))
        rows = list(Sidecar.of(read_tokbench(str(path)).rows.values()).rows())
        if name == "face":  # from the centre of a pixel there, from its corner here
            assert rows[0]["regions"][0]["keypoints"][:2] == pytest.approx([50.5 / 200, 40.5 / 100])
        assert write_tokbench(str(tmp_path / "out.json"), rows, name) == (1, {})
        back = json.loads((tmp_path / "out.json").read_text())[0]
        if name == "text":
            assert back["annotations"][0]["rec"] == "Straße"
            assert back["annotations"][0]["bbox"] == pytest.approx([20, 10, 80, 30], abs=1e-4)
            assert back["annotations"][0]["ratio"] == pytest.approx(0.05)
        else:
            assert back["faces"][0]["kps"][3] == pytest.approx([52, 60], abs=1e-4)
            assert back["faces"][0]["ratio"] == pytest.approx(0.25)


def test_img2dataset_boxes_are_relative(tmp_path: Path) -> None:
    path = str(tmp_path / "00000.parquet")
    columns = {"key": ["1", "2", "3"], "width": [200, 10, None], "height": [100, 10, None]}
    columns |= {"status": ["success", "success", "failed"], "bbox": [[[0.1, 0.2, 0.5, 0.6]], [], []]}
    pq.write_table(pa.table(columns), path)
    imported = read_img2dataset(path, "face")
    assert list(imported.rows) == ["1", "2"]
    assert imported.rows["1"]["regions"][0]["box"] == pytest.approx([0.1, 0.2, 0.5, 0.6])
    assert imported.rows["2"]["regions"] == []
    out = str(tmp_path / "out.parquet")
    assert write_img2dataset(out, Sidecar.of(imported.rows.values()).rows(), "face") == (1, {})
    table = pq.ParquetFile(out, pre_buffer=False).read(use_threads=False)
    assert table.column("bbox").to_pylist()[0][0] == pytest.approx([0.1, 0.2, 0.5, 0.6])
    with pytest.raises(InputError, match=r"got no boxes; there are key"):
        read_img2dataset(path, "face", "boxes")


def test_a_quadrilateral_is_kept_and_other_outlines_are_not(tmp_path: Path) -> None:
    path, back = str(tmp_path / "coco.json"), str(tmp_path / "back.json")
    quad, triangle = [20.0, 10.0, 120.0, 20.0, 110.0, 60.0, 22.0, 50.0], [20.0, 10.0, 120.0, 20.0, 110.0, 60.0]
    mask = {"counts": [1, 2], "size": [100, 200]}
    outlines = [[quad], [triangle], [quad, quad], mask, None]
    one = {"image_id": 7, "category_id": 1, "bbox": [20, 10, 100, 50]}
    found = {"images": [{"id": 7, "file_name": "a.jpg", "width": 200, "height": 100}]}
    found |= {"annotations": [one | {"segmentation": outline} for outline in outlines]}
    Path(path).write_text(json.dumps(found | {"categories": [{"id": 1, "name": "text"}]}))
    (row,) = Sidecar.of(read_coco(path).rows.values()).rows()
    relative = [0.1, 0.1, 0.6, 0.2, 0.55, 0.6, 0.11, 0.5]
    assert [region["quad"] for region in row["regions"]] == [pytest.approx(relative), None, None, None, None]
    write_coco(back, [row])
    written = json.loads(Path(back).read_text())["annotations"]
    assert written[0]["segmentation"] == [pytest.approx(quad, abs=1e-4)]
    assert not any("segmentation" in entry for entry in written[1:])


def test_coco_holds_all_that_random_rows_say(tmp_path: Path) -> None:
    rng, rows = random.Random(0), []
    points = {"face": 5, "hand": 21, "text": 0, "sign": 0}
    for number in range(40):
        kinds = rng.sample(["face", "hand", "text"], rng.randint(0, 3)) + ["sign"] * (number == 3)
        scans = [asdict(Scan(f"some/{kind}", kind=kind)) for kind in kinds]
        regions = []
        for kind in (rng.choice(kinds) for _ in range(rng.randrange(4) if kinds else 0)):
            x, y = rng.uniform(0, 0.5), rng.uniform(0, 0.5)
            known = [v for _ in range(points[kind]) for v in rng.choice([(rng.random(), rng.random()), (NAN, NAN)])]
            keypoints = known if rng.random() < 0.7 and not all(map(math.isnan, known)) else None
            quad = [rng.random() for _ in range(8)] if kind == "text" and rng.random() < 0.5 else None
            facts = {"score": rng.random(), "text": rng.choice([None, "Straße"]), "detector": f"some/{kind}"}
            box = [x, y, x + rng.uniform(0.1, 0.5), y + rng.uniform(0.1, 0.5)]
            if kind != "sign":
                regions.append({"kind": kind, "box": box, "quad": quad, "keypoints": keypoints, **facts})
        size = {"width": rng.randint(50, 900), "height": rng.randint(50, 900)}
        rows.append({"key": f"{number}.jpg", **size, "scans": scans, "regions": regions})
    count, left = write_coco(str(tmp_path / "coco.json"), rows)
    assert (count, left) == (sum(len(row["regions"]) for row in rows), {})
    back = read_coco(str(tmp_path / "coco.json"))
    assert not back.dropped
    assert list(back.rows) == [row["key"] for row in rows]
    for row in rows:
        found = back.rows[row["key"]]
        assert scanned_kinds(found["scans"]) == scanned_kinds(row["scans"])
        for one, given in zip(found["regions"], row["regions"], strict=True):
            assert one["detector"] == "coco"
            for name in ("kind", "text", "score"):
                assert one[name] == given[name]
            for name in ("box", "quad", "keypoints"):
                assert one[name] == (given[name] and pytest.approx(given[name], nan_ok=True))
    written = json.loads((tmp_path / "coco.json").read_text())
    assert {one["name"]: len(one.get("keypoints", ())) for one in written["categories"]} == points
    for one in written["annotations"]:
        name = next(c["name"] for c in written["categories"] if c["id"] == one["category_id"])
        assert len(one.get("keypoints", ())) == 3 * points[name]
        assert one.get("num_keypoints", 0) == sum(seen > 0 for seen in one.get("keypoints", ())[2::3])


def test_img2dataset_boxes_of_cropped_and_padded_copies_are_counted(tmp_path: Path) -> None:
    path = str(tmp_path / "00000.parquet")
    # Resized, its shorter side to 256 | cropped in the middle | padded to a square | as it was | not known.
    columns = {"key": list("12345"), "width": [384, 256, 256, 10, 10], "height": [256, 256, 256, 20, 20]}
    columns |= {"original_width": [1023, 1023, 1023, 10, None], "original_height": [683, 683, 683, 20, None]}
    pq.write_table(pa.table(columns | {"bbox": [[[0.1, 0.2, 0.5, 0.6]]] * 5}), path)
    imported = read_img2dataset(path, "face")
    assert list(imported.rows) == ["1", "4", "5"]
    assert imported.dropped == {"images of another aspect than the original, to which their boxes are relative": 2}


def test_what_a_format_has_no_place_for_is_counted(tmp_path: Path) -> None:
    region = {"box": [0.1, 0.1, 0.5, 0.5], "quad": None, "keypoints": None, "score": 1.0, "detector": "some"}
    word, face = region | {"kind": "text", "text": "word"}, region | {"kind": "face", "text": None}
    scans = [asdict(Scan("some", kind="face,text"))]
    rows = [[word, face], [word | {"text": None}], [word | {"text": ""}, face, face], []]
    rows = [{"key": str(n), "width": 9, "height": 9, "scans": scans, "regions": r} for n, r in enumerate(rows)]
    count, left = write_tokbench(str(tmp_path / "text.json"), rows)
    images = "images without a text that TokBench can use"
    assert (count, left[images], left["texts without transcription"]) == (1, 3, 2)
    assert left["regions of another kind than text"] == 3
    count, left = write_tokbench(str(tmp_path / "face.json"), rows, "face")
    assert (count, left["faces without five keypoints"]) == (0, 3)
    rows.append(rows[-1] | {"key": "never", "scans": []})
    out = str(tmp_path / "out.parquet")
    assert write_img2dataset(out, rows, "face") == (3, {"regions of another kind than face": 3})
    back = read_img2dataset(out, "face")
    assert list(back.rows) == ["0", "1", "2", "3"]  # nobody has looked at the last


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(InputError, match="expected a COCO file"):
        read_coco(str(tmp_path / "x.json"))
    with pytest.raises(InputError, match="expected a list of images of TokBench"):
        read_tokbench(str(tmp_path / "x.json"))
    (tmp_path / "y.json").write_text("not json")
    with pytest.raises(InputError, match="expected a JSON file"):
        read_coco(str(tmp_path / "y.json"))
