"""Any images as originals: folders and tar files, side-cars beside them or elsewhere, columns of the user's own."""

from __future__ import annotations

import hashlib
import math
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from regionloss.data.images import to_image
from regionloss.data.sidecars import Scan, Sidecar, sidecar_path, write_sidecar
from regionloss.errors import InputError
from regionloss.evaluation.pairs import open_originals, read_columns
from regionloss.evaluation.pairs.images import instances_of
from regionloss.evaluation.pairs.pair import Original, regions_of
from regionloss.regions import Regions


def photos(folder: Path, names: list[str]) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        to_image(torch.zeros(3, 40, 20)).save(folder / name)
    return folder


def sidecar(path: str, keys: list[str], text: str | None, kind: str = "text") -> None:
    points = [0.1, 0.1, 0.3, 0.1, 0.2, 0.2, 0.1, 0.3, 0.3, 0.3] if kind == "face" else None
    region = {"kind": kind, "box": [0.1, 0.25, 0.9, 0.5], "quad": None, "keypoints": points, "score": 1.0}
    scans = [vars(Scan("given", kind=kind))]
    rows = [
        {
            "key": key,
            "width": 20,
            "height": 40,
            "scans": scans,
            "regions": [region | {"text": text, "detector": "given"}],
        }
        for key in keys
    ]
    write_sidecar(path, Sidecar.of(rows))


def test_regions_beside_a_folder_are_found(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", ["a/x.png", "y.jpg"])
    sidecar(sidecar_path("", str(folder)), ["a/x.png"], "word")
    found = open_originals([str(folder)])
    assert found.names() == ["a/x.png", "y.jpg"]
    (one,) = found.read("a/x.png").instances
    assert one.box == pytest.approx((2, 10, 18, 20))
    assert (one.kind, one.text, one.size) == ("text", "word", pytest.approx(16 / 4 / 40))
    assert found.read("y.jpg").instances == ()


def test_sizes_without_transcription_count_characters_by_the_shape(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", ["x.png"])
    sidecar(sidecar_path("", str(folder)), ["x.png"], None)
    (one,) = open_originals([str(folder)]).read("x.png").instances
    assert (one.text, one.size) == (None, pytest.approx(16 / 3 / 40))  # 16 x 10 pixels: three letters of 5
    sidecar(sidecar_path("", str(folder)), ["x.png"], None, "face")
    (one,) = open_originals([str(folder)]).read("x.png").instances
    assert (one.size, len(one.keypoints or ())) == (pytest.approx(16 / 40), 5)


def test_several_tar_files_keep_their_keys_apart(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", ["0.png", "1.png"])
    for name in ("a", "b"):
        with tarfile.open(tmp_path / f"{name}.tar", "w") as tar:
            for image in sorted(folder.iterdir()):
                tar.add(image, image.name)
        sidecar(sidecar_path(str(tmp_path / "regions"), str(tmp_path / f"{name}.tar")), ["0"], name)
    found = open_originals([str(tmp_path / "*.tar")], str(tmp_path / "regions"))
    assert found.names() == ["a.tar/0", "a.tar/1", "b.tar/0", "b.tar/1"]
    assert [one.text for key in found.names() for one in found.read(key).instances] == ["a", "b"]


def test_images_without_sidecars_say_so(tmp_path: Path) -> None:
    found = open_originals([str(photos(tmp_path / "photos", ["x.png"]))])
    assert found.read("x.png").instances == ()
    assert "'regionloss annotate' makes them" in " ".join(found.notes)
    with pytest.raises(InputError, match="regions"):
        open_originals([str(tmp_path / "photos")], str(tmp_path / "nowhere"))


def test_columns_of_images_and_instances(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", ["x.png", "y.png"])
    sidecar(sidecar_path("", str(folder)), ["x.png", "y.png"], "word")
    table = tmp_path / "labels.csv"
    table.write_text("key,number,skin\nx.png,0,dark\ny.png,0,light\n", encoding="utf-8")
    found = open_originals([str(folder)], columns=read_columns(table))
    assert [found.read(key).instances[0].columns["skin"] for key in found.names()] == ["dark", "light"]
    table.write_text("key,place\nx.png,3\n", encoding="utf-8")
    found = open_originals([str(folder)], columns=read_columns(table))
    assert (found.read("x.png").columns, found.read("y.png").columns) == ({"place": "3"}, {})


def test_columns_of_other_images_are_named_and_of_none_refused(tmp_path: Path) -> None:
    folder, table = photos(tmp_path / "photos", ["x.png", "y.png"]), tmp_path / "labels.csv"
    table.write_text("key,skin\nx,dark\ny.png,light\nz.png,light\n", encoding="utf-8")
    notes = open_originals([str(folder)], columns=read_columns(table)).notes
    assert f"{table}: 2 of the names are of no image: 'x', 'z.png'" in notes
    table.write_text("key,skin\nx,dark\ny,light\n", encoding="utf-8")
    with pytest.raises(
        InputError, match=r"names of images as 'key', such as 'x\.png', got 'x', 'y'\. They are written"
    ):
        open_originals([str(folder)], columns=read_columns(table))


def test_columns_do_not_make_other_data(tmp_path: Path) -> None:
    folder, table = photos(tmp_path / "photos", ["x.png"]), tmp_path / "labels.csv"
    sidecar(sidecar_path("", str(folder)), ["x.png"], "word")
    table.write_text("key,number,skin\nx.png,,dark\nx.png,0,light\n", encoding="utf-8")
    plain, labelled = (open_originals([str(folder)], columns=one) for one in (None, read_columns(table)))
    assert labelled.read("x.png").columns
    assert labelled.read("x.png").instances[0].columns
    assert plain.read("x.png").mark == labelled.read("x.png").mark
    assert plain.identity != labelled.identity  # an evaluation that stopped has other groups


@pytest.mark.parametrize("text", ["", "name,skin\nx,1\n", "key,number\nx.png,first\n", "key\nx\ny,z\n"])
def test_a_table_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    table = tmp_path / "labels.csv"
    table.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"labels\.csv"):
        read_columns(table)


def test_words_that_lie_askew_keep_their_corners_and_their_own_size() -> None:
    """A word of 60 x 12 at 90 degrees; one without corners is its box, its image's mark that of earlier results."""
    quad = [[50.0, 20], [50, 80], [38, 80], [38, 20]]
    boxes, none = torch.tensor([[38.0, 20, 50, 80]] * 2), [[math.nan] * 2] * 4
    regions = Regions.single("text", boxes, (100, 200), quads=torch.tensor([quad, none]), texts=("abcde", ""))
    askew, upright = instances_of(regions, [{}, {}])
    assert (askew.quad, upright.quad) == (tuple(map(tuple, quad)), None)
    assert (askew.size, upright.size) == (pytest.approx(60 / 5 / 200), pytest.approx(12 / 200))
    again = regions_of([askew, upright], "text", (100, 200)).quads
    torch.testing.assert_close(again, regions.quads, equal_nan=True, check_dtype=False)
    image = torch.zeros(3, 100, 200)
    originals = [Original("a", image, (one,)) for one in (upright, askew, replace(askew, quad=None))]
    assert len({one.mark for one in originals}) == 3
    said = repr(("a", image.shape, [upright])).encode()
    assert "quad" not in repr(upright)
    assert originals[0].mark == hashlib.sha256(said + b"\x80" * 60000).hexdigest()
