"""Regions from and to the formats of others, and the schema page; the numbers are written out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from regionloss.data.formats.coco import read_coco, write_coco
from regionloss.data.formats.img2dataset import read_img2dataset, write_img2dataset
from regionloss.data.formats.tokbench import read_tokbench, write_tokbench
from regionloss.data.sidecars import Sidecar, schema
from regionloss.errors import InputError

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "side-car.md"


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
    assert list(read_coco(str(path), keep_suffix=False).rows) == ["sub/a", "none"]
    rows = list(Sidecar.of(imported.rows.values()).rows())
    assert write_coco(str(tmp_path / "out.json"), rows) == 1
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
        assert write_tokbench(str(tmp_path / "out.json"), rows, name) == 1
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
    assert write_img2dataset(out, Sidecar.of(imported.rows.values()).rows(), "face") == 1
    table = pq.ParquetFile(out, pre_buffer=False).read(use_threads=False)
    assert table.column("bbox").to_pylist()[0][0] == pytest.approx([0.1, 0.2, 0.5, 0.6])
    with pytest.raises(InputError, match=r"got no boxes; there are key"):
        read_img2dataset(path, "face", "boxes")


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(InputError, match="expected a COCO file"):
        read_coco(str(tmp_path / "x.json"))
    with pytest.raises(InputError, match="expected a list of images of TokBench"):
        read_tokbench(str(tmp_path / "x.json"))
    (tmp_path / "y.json").write_text("not json")
    with pytest.raises(InputError, match="expected a JSON file"):
        read_coco(str(tmp_path / "y.json"))
