"""Captions that lie beside images."""

from __future__ import annotations

import tarfile
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from regionloss.data.shards import captions_of, open_source

BUFFER = BytesIO()
Image.new("RGB", (4, 4)).save(BUFFER, "PNG")
PNG = BUFFER.getvalue()
FILES = {
    "a/0.png": PNG,
    "a/0.txt": b" first \n",
    "a/0.json": b'{"caption": "not this one"}',
    "1.png": PNG,
    "1.json": b'{"caption": "caf\xc3\xa9", "url": 1}',
    "2.png": PNG,
    "2.json": b'{"caption": null}',
    "3.png": PNG,
    "3.txt": b"  ",
    "4.png": PNG,
    "4.json": b"[broken",
    "cafe\u0301.png": PNG,
    "cafe\u0301.txt": b"accents",
    "other.txt": b"of no image",
}
WANTED = {"a/0": "first", "1": "café", "café": "accents"}


def tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, contents in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(contents)
            archive.addfile(member, BytesIO(contents))
    return path


def captions(path: Path) -> dict[str, str]:
    source = open_source(str(path))
    try:
        return captions_of(source)
    finally:
        source.close()


def test_captions_of_a_tar_file(tmp_path: Path) -> None:
    assert captions(tar(tmp_path / "0.tar", FILES)) == WANTED


def test_captions_of_a_folder(tmp_path: Path) -> None:
    for name, contents in FILES.items():
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents)
    assert captions(tmp_path / "photos") == {f"{key}.png": said for key, said in WANTED.items()}


@pytest.mark.parametrize("length", [700, 1100, 5000])
def test_of_a_tar_file_that_is_cut_off_those_before_count(tmp_path: Path, length: int) -> None:
    path = tar(tmp_path / "0.tar", FILES)
    path.write_bytes(path.read_bytes()[:length])
    found = captions(path)
    assert found.items() <= (WANTED | {"a/0": "first"}).items()
    assert bool(found) == (length > 2000)


def test_keys_may_reach_to_the_last_dot(tmp_path: Path) -> None:
    files = {f"Track 1.{n} (Clean).png": PNG for n in range(3)} | {
        f"Track 1.{n} (Clean).txt": str(n).encode() for n in range(3)
    }
    found = captions(tar(tmp_path / "0.tar", files))
    assert found == {f"Track 1.{n} (Clean)": str(n) for n in range(3)}
