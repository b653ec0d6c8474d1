"""TokBench's annotation files as they are: nothing is altered, nothing is lost in silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from regionloss.data.images import to_image
from regionloss.errors import InputError
from regionloss.evaluation.pairs import open_originals
from regionloss.evaluation.pairs.tokbench import TokBench


def image(path: Path, height: int = 20, width: int = 30) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    to_image(torch.zeros(3, height, width)).save(path)


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "tokbench"
    for path in ("images/ic13/a.jpg", "images/tt/a.jpg", "images/tt/b.jpg", "images/wflw/c.jpg"):
        image(root / path)
    words = [
        {"rec": "Hi", "bbox": [-3.5, 1, 12.25, 40], "ratio": 0.031},
        {"rec": "Bye", "bbox": [0, 0, 4, 4], "ratio": 1},
    ]
    write(root / "text_ic13.json", [{"file_name": "a.jpg", "height": 20, "width": 30, "annotations": words}])
    write(
        root / "text_tt.json",
        [{"file_name": "a.jpg", "annotations": []}, {"file_name": "tt/b.jpg", "annotations": words}],
    )
    faces = [{"kps": [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10]], "box": [1, 1, 9, 9, 0.99], "ratio": 0.2, "gt": None}]
    write(root / "face_meta.json", [{"image_name": "c.jpg", "img_height": 20, "img_width": 30, "faces": faces}])
    return root


def test_annotations_are_taken_as_they_are(folder: Path) -> None:
    found = open_originals([str(folder)])
    assert isinstance(found, TokBench)
    assert found.names() == ["images/ic13/a.jpg", "images/tt/a.jpg", "images/tt/b.jpg", "images/wflw/c.jpg"]
    first, second = found.read("images/ic13/a.jpg").instances
    assert (first.kind, first.text, first.box, first.size) == ("text", "Hi", (-3.5, 1.0, 12.25, 40.0), 0.031)
    assert (first.columns, second.size) == ({"set": "ic13"}, 1.0)
    assert found.read("images/tt/a.jpg").instances == ()
    (face,) = found.read("images/wflw/c.jpg").instances
    assert (face.kind, face.text, face.size, face.box) == ("face", None, 0.2, (1.0, 1.0, 9.0, 9.0))
    assert face.keypoints == ((1.5, 2.5), (3.5, 4.5), (5.5, 6.5), (7.5, 8.5), (9.5, 10.5))  # from pixels' corners


@pytest.mark.parametrize(
    "word",
    [
        {"rec": "Hi", "bbox": [1, 2, 3], "ratio": 0.1},
        {"rec": "Hi", "bbox": [1, 2, 3, float("nan")], "ratio": 0.1},
        {"rec": "Hi", "bbox": [1, 2, 3, 10**400], "ratio": 0.1},
        {"rec": "Hi", "bbox": None, "ratio": 0.1},
        {"rec": "Hi", "bbox": [1, 2, 3, 4]},
        {"rec": "Hi", "bbox": [1, 2, 3, 4], "ratio": "0.1"},
        {"rec": 5, "bbox": [1, 2, 3, 4], "ratio": 0.1},
        {"rec": "Hi", "bbox": [1, 2, 3, 4], "ratio": True},
        "word",
        None,
    ],
)
def test_an_annotation_that_cannot_be_used_is_named(folder: Path, word: Any) -> None:
    good = {"rec": "Yes", "bbox": [1, 2, 3, 4], "ratio": 0.1}
    write(folder / "text_ic13.json", [{"file_name": "a.jpg", "annotations": [word, good]}])
    original = TokBench(folder).read("images/ic13/a.jpg")
    assert [one.text for one in original.instances] == ["Yes"]
    (problem,) = original.problems
    assert problem.startswith("annotations that cannot be used: ")
    assert "images/ic13/a.jpg" in problem


def test_a_list_that_is_none_is_named(folder: Path) -> None:
    write(folder / "text_ic13.json", [{"file_name": "a.jpg", "annotations": {"a": 1}}, {"annotations": []}])
    found = TokBench(folder)
    assert len(found.read("images/ic13/a.jpg").problems) == 1
    assert found.notes == ["text_ic13.json: left out an image without a name."]


@pytest.mark.parametrize("content", ["{}", "[1]", "{", "[" * 100_000, '{"tokenizer1": {"256": {}}}'])
def test_a_file_that_is_none_is_refused(folder: Path, content: str) -> None:
    (folder / "text_ic13.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"text_ic13\.json"):
        TokBench(folder)


def test_missing_and_broken_images_are_named_when_they_are_read(folder: Path) -> None:
    (folder / "images/tt/b.jpg").unlink()
    (folder / "images/wflw/c.jpg").write_bytes(b"none")
    found = TokBench(folder)
    with pytest.raises(InputError, match=r"^missing originals: tt/b\.jpg"):
        found.read("tt/b.jpg")
    with pytest.raises(InputError, match=r"^unreadable images: images/wflw/c\.jpg"):
        found.read("images/wflw/c.jpg")


def test_images_that_nobody_can_tell_apart_are_refused(folder: Path) -> None:
    image(folder / "images/ic13/more/a.jpg")
    with pytest.raises(InputError, match=r"expected one image of this name, got images/ic13/a\.jpg, images/ic13/more"):
        TokBench(folder)


def test_the_identity_changes_with_images_annotations_and_nothing_else(folder: Path) -> None:
    before = TokBench(folder).identity
    assert TokBench(folder).identity == before
    image(folder / "images/ic13/a.jpg", 21)
    changed = TokBench(folder).identity
    write(folder / "text_ic13.json", [])
    assert len({before, changed, TokBench(folder).identity}) == 3


def test_batches_are_those_of_the_script_a_set_each_in_the_order_of_its_annotations(folder: Path) -> None:
    one = {"rec": "last", "bbox": [0, 0, 4, 4], "ratio": 1}
    entries = [{"file_name": "tt/b.jpg", "annotations": [one] * 3}, {"file_name": "tt/a.jpg", "annotations": [one]}]
    entries[1]["annotations"] = [one | {"rec": "x"}]
    write(folder / "text_tt.json", entries)
    found = TokBench(folder).batches(2)
    b, a = "images/tt/b.jpg", "images/tt/a.jpg"
    assert found == {
        **dict.fromkeys([("images/ic13/a.jpg", 0), ("images/ic13/a.jpg", 1)], ("Hi", "Bye")),
        **dict.fromkeys([(b, 0), (b, 1)], ("last", "last")),
        **dict.fromkeys([(b, 2), (a, 0)], ("last", "x")),
    }
