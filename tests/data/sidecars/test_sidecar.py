"""Side-cars: written whole, read back the same, refused where they are not ours; compared with pyarrow's own reader."""

from __future__ import annotations

import math
import random
import socket
import subprocess
import sys
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from regionloss.data.sidecars.sidecar import (
    Book,
    DamagedError,
    Scan,
    Sidecar,
    read_book,
    read_sidecar,
    scanned_kinds,
    schema,
    sidecar_path,
    with_scan,
    write_sidecar,
)
from regionloss.errors import InputError

FACE = Scan("face/mtcnn", "mtcnn-1", "a9b1", '{"min_score": 0.95}', "face")
TEXT = Scan("text/ppocr", "ppocr-6", "", "{}", "text")


def region(detector: str = "face/mtcnn", kind: str = "face", box: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)) -> dict:
    points = [0.3, 0.6, math.nan, math.nan]
    return {"kind": kind, "box": list(box), "quad": None, "keypoints": points, "score": 0.5, "text": None} | {
        "detector": detector
    }


def row(key: str, regions: list[dict] | None = None, scans: tuple[Scan, ...] = (FACE,)) -> dict:
    found = regions or []
    return {"key": key, "width": 640, "height": 480, "scans": [vars(s) for s in scans], "regions": found}


@pytest.mark.parametrize("where", ["{tmp}/deep/er/00000.regions.parquet", "memory://sidecars/00000.regions.parquet"])
def test_what_is_written_is_read_back(where: str, tmp_path: Path) -> None:
    path = where.format(tmp=tmp_path)
    quad = region("text/ppocr", "text") | {"keypoints": None, "quad": [0.0, 0.1] * 4, "text": "Straße"}
    rows = [row("a/00000", [region()]), row("empty"), row("b", [quad, region()], (FACE, TEXT))]
    write_sidecar(path, Sidecar.of(rows, [FACE], "tar-17", {"a/00000": "12-3"}))
    found = read_sidecar(path)
    assert [r["key"] for r in found.rows()] == ["a/00000", "empty", "b"]
    assert found["empty"]["regions"] == []
    assert found["empty"]["scans"] == [vars(FACE)]
    assert "never" not in found
    read = found["b"]["regions"]
    assert read[0] == {**quad, "quad": pytest.approx([0.0, 0.1] * 4)}
    assert read[1]["keypoints"] == pytest.approx([0.3, 0.6, math.nan, math.nan], nan_ok=True)
    assert (found.scans, found.shard, found.files) == ((FACE,), "tar-17", {"a/00000": "12-3"})
    system, inner = fsspec.core.url_to_fs(path)
    assert [Path(name).name for name in system.ls(system._parent(inner), detail=False)] == ["00000.regions.parquet"]


def test_other_tools_read_it_as_a_plain_table(tmp_path: Path) -> None:
    path = tmp_path / "x.regions.parquet"
    write_sidecar(str(path), Sidecar.of([row("a", [region()])]))
    table = pq.ParquetFile(path, pre_buffer=False).read(use_threads=False)
    assert table.schema.equals(schema(stored=True), check_metadata=False)
    found = table.column("regions").to_pylist()[0][0]
    assert (found["box"], found["quad"]) == ([0.25, 0.5, 0.75, 1.0], None)  # which not every pyarrow reads in others


def test_files_whose_quadrilaterals_have_a_fixed_size_are_read_too(tmp_path: Path) -> None:
    path = tmp_path / "x.regions.parquet"
    table = pa.Table.from_pylist([row("a", [region() | {"quad": [0.5] * 8, "keypoints": None}])], schema=schema())
    pq.write_table(table.replace_schema_metadata({"regionloss.sidecar": "1"}), path)
    read = read_sidecar(str(path))
    assert read.table.equals(table)
    write_sidecar(str(path), read)
    assert read_sidecar(str(path)).table.equals(table)


def test_a_quadrilateral_of_three_points_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.regions.parquet"
    table = pa.Table.from_pylist([row("a", [region() | {"quad": [0.5] * 6}])], schema=schema(stored=True))
    pq.write_table(table.replace_schema_metadata({"regionloss.sidecar": "1"}), path)
    with pytest.raises(DamagedError, match=r"x\.regions\.parquet: expected a side-car of regions, got .* size"):
        read_sidecar(str(path))


def test_a_side_car_replaces_another_and_a_failed_write_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "x.regions.parquet"
    write_sidecar(str(path), Sidecar.of([row("old")]))
    write_sidecar(str(path), Sidecar.of([row("new")]))
    assert list(read_sidecar(str(path)).places) == ["new"]
    (tmp_path / "folder.regions.parquet").mkdir()
    with pytest.raises(OSError, match="folder"):
        write_sidecar(str(tmp_path / "folder.regions.parquet"), Sidecar.of([row("new")]))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder.regions.parquet", "x.regions.parquet"]


def test_what_is_no_side_car_is_refused_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "x.regions.parquet"
    write_sidecar(str(path), Sidecar.of([row("a", [region()])]))
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with pytest.raises(
        InputError, match=r"x\.regions\.parquet: expected a side-car of regions, got a file that cannot"
    ):
        read_sidecar(str(path))
    plain = pa.table({"key": ["a"]})
    pq.write_table(plain, path)
    with pytest.raises(InputError, match="version 1, got a Parquet file that is none"):
        read_sidecar(str(path))
    pq.write_table(plain.replace_schema_metadata({"regionloss.sidecar": "2"}), path)
    with pytest.raises(InputError, match=r"got version 2\. A newer regionloss wrote it: update\."):
        read_sidecar(str(path))
    pq.write_table(plain.replace_schema_metadata({"regionloss.sidecar": "1"}), path)
    with pytest.raises(InputError, match="the schema of version 1, got the columns key"):
        read_sidecar(str(path))
    with pytest.raises(FileNotFoundError):
        read_sidecar(str(tmp_path / "none.regions.parquet"))


def test_a_byte_that_turned_over_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.regions.parquet"
    write_sidecar(str(path), Sidecar.of([row(f"{n}", [region()]) for n in range(50)]))
    contents = bytearray(path.read_bytes())
    for place in range(40, 200):
        contents[place] ^= 0xFF
    path.write_bytes(contents)
    with pytest.raises(DamagedError, match=r"a\.regions\.parquet: expected a side-car of regions"):
        read_sidecar(str(path))


def damaged_copies(contents: bytes, count: int) -> list[bytes]:
    """Return copies of a file in each of which one byte is another."""
    rng = random.Random(0)
    places = [(rng.randrange(len(contents)), rng.randrange(1, 256)) for _ in range(count)]
    return [contents[:at] + bytes([contents[at] ^ flip]) + contents[at + 1 :] for at, flip in places]


def test_one_damaged_byte_anywhere_is_a_sentence_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.regions.parquet"
    rows = [row(f"{n}", [region(), region("text/ppocr", "text")]) for n in range(4)]
    write_sidecar(str(path), Sidecar.of(rows, [FACE, TEXT], "tar-17", {f"{n}": "12-3" for n in range(4)}))
    whole, told = read_sidecar(str(path)), []
    for contents in damaged_copies(path.read_bytes(), 300):
        path.write_bytes(contents)
        for read in (read_sidecar, read_book):
            try:
                found = read(str(path))
            except InputError as error:
                told.append(str(error))
            else:
                assert isinstance(found, Book) or repr(list(found.rows())) == repr(list(whole.rows()))
    assert len(told) > 300
    assert all("a.regions.parquet: expected" in sentence for sentence in told)


ONE = {"key": "a", "width": 640, "height": 480, "scans": [vars(FACE)], "regions": [region()]}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([ONE | {"width": 0}], "a width below 1"),
        ([ONE | {"height": -480}], "a height below 1"),
        ([ONE, ONE], "two rows of one key"),
        ([ONE | {"scans": [None]}], "scans that are null"),
        ([ONE | {"regions": [None, region()]}], "Expected all lists to be of size=4"),
        ([ONE | {"regions": [region() | {"keypoints": [0.1, 0.2, 0.3]}]}], "keypoints with an odd number"),
        ([ONE | {"regions": [region() | {"keypoints": [0.1, None]}]}], "regions without keypoints"),
        ([ONE | {"regions": [region() | {"box": [0.1, None, 0.2, 0.3]}]}], "regions without box"),
        ([ONE | {"regions": [region() | {"kind": "face\0"}]}], "regions with a NUL in their kind"),
    ],
)
def test_values_that_mean_nothing_are_found_in_valid_parquet(tmp_path: Path, rows: list[dict], said: str) -> None:
    path = tmp_path / "a.regions.parquet"
    write_sidecar(str(path), Sidecar(pa.Table.from_pylist(rows, schema=schema())))
    with pytest.raises(DamagedError, match=rf"a\.regions\.parquet: .* cannot be read \({said}"):
        read_sidecar(str(path))


@pytest.mark.parametrize(
    "book", [b"\xff", b"[]", b"null", b"[" * 9999, b'{"scans": [1]}', b'{"scans": [{"x": 1}]}', b'{"files": {"a": 1}}']
)
def test_metadata_that_mean_nothing_are_found(tmp_path: Path, book: bytes) -> None:
    path = tmp_path / "a.regions.parquet"
    notes = {b"regionloss.sidecar": b"1", b"regionloss.shard": book}
    pq.write_table(pa.Table.from_pylist([ONE], schema=schema()).replace_schema_metadata(notes), path)
    for read in (read_sidecar, read_book):
        with pytest.raises(DamagedError, match=r"a\.regions\.parquet: expected a side-car of regions"):
            read(str(path))
    for notes in ({b"regionloss.sidecar": b"\xff"}, {b"regionloss.sidecar": b"one"}, None):
        pq.write_table(pa.Table.from_pylist([ONE], schema=schema()).replace_schema_metadata(notes), path)
        with pytest.raises(DamagedError, match=r"a\.regions\.parquet: expected a side-car of regions"):
            read_sidecar(str(path))


def test_lists_that_are_null_are_empty(tmp_path: Path) -> None:
    path = str(tmp_path / "a.regions.parquet")
    rows = [ONE | {"regions": None}, ONE | {"key": "b", "scans": None, "regions": None}]
    write_sidecar(path, Sidecar(pa.Table.from_pylist(rows, schema=schema())))
    found = read_sidecar(path)
    assert [(one["key"], len(one["scans"]), one["regions"]) for one in found.rows()] == [("a", 1, []), ("b", 0, [])]
    assert found["a"]["regions"] == []


def test_several_writers_of_one_file_do_not_disturb_one_another(tmp_path: Path) -> None:
    code = "import sys; from regionloss.data.shards.atomic import write_whole\n"
    code += "for n in range(60): write_whole(sys.argv[1], sys.argv[2].encode() * 100_000)"
    target = tmp_path / "a.regions.parquet"
    left = tmp_path / f".{target.name}.{socket.gethostname()}-999999999.tmp"
    left.write_bytes(b"of a process that was killed")
    runs = [subprocess.Popen([sys.executable, "-c", code, str(target), letter]) for letter in "ab"]
    assert [run.wait() for run in runs] == [0, 0]
    assert target.read_bytes() in (b"a" * 100_000, b"b" * 100_000)
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def test_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="two of the key 'a'"):
        Sidecar.of([row("a"), row("a")])
    with pytest.raises(InputError, match="rows of its schema"):
        Sidecar.of([row("a", [region(box=(0.1, 0.2, 0.3))])])


def test_a_new_scan_replaces_its_own_regions_only() -> None:
    before = row("a", [region(), region("text/ppocr", "text")], (FACE, TEXT))
    newer = Scan("face/mtcnn", "mtcnn-2", kind="face")
    after = with_scan(before, newer, [region(box=(0, 0, 0.5, 0.5))])
    assert [(s["detector"], s["version"]) for s in after["scans"]] == [
        ("face/mtcnn", "mtcnn-2"),
        ("text/ppocr", "ppocr-6"),
    ]
    assert [r["box"] for r in after["regions"]] == [[0, 0, 0.5, 0.5], [0.25, 0.5, 0.75, 1.0]]
    assert scanned_kinds(after["scans"]) == ["face", "text"]


@pytest.mark.parametrize(
    ("folder", "shard", "path"),
    [
        ("", "laion/00000.tar", "laion/00000.regions.parquet"),
        ("out/", "laion/00000.tar", "out/00000.regions.parquet"),
        ("s3://b/r", "s3://bucket/x/00000.tar", "s3://b/r/00000.regions.parquet"),
        ("", "s3://bucket/00000.tar", "s3://bucket/00000.regions.parquet"),
        ("", "photos/", "photos.regions.parquet"),
        ("", "/data/my.photos", "/data/my.photos.regions.parquet"),
        ("/", "x.tar", "/x.regions.parquet"),
    ],
)
def test_where_a_side_car_is(folder: str, shard: str, path: str) -> None:
    assert sidecar_path(folder, shard) == path


def test_the_side_car_of_the_current_folder_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert sidecar_path("", ".") == f"{tmp_path}/here.regions.parquet"
