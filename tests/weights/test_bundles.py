"""Bundles: out of one cache, into another, and nothing else."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from regionloss.errors import DiskError, WeightsError
from regionloss.hooks.records import WeightRecord
from regionloss.weights import locate
from regionloss.weights.bundles import export_bundle, import_bundle
from regionloss.weights.cache import sha256_of
from regionloss.weights.convert import convert

Record = Callable[..., WeightRecord]
Content = dict[str, bytes]


@pytest.fixture
def filled(cache: Path, content: Content) -> Path:
    cache.mkdir(parents=True)
    for name in ("a.pt", "b.pt"):
        (cache / name).write_bytes(content[name])
    return cache


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Path]:
    """A function that moves to a machine with an empty cache."""

    def move() -> Path:
        monkeypatch.setenv("REGIONLOSS_HOME", str(tmp_path / "elsewhere"))
        return tmp_path / "elsewhere" / "weights"

    return move


def bundle_of(folder: Path, filename: str, content: bytes = b"x", **other: object) -> Path:
    """A bundle that someone else made."""
    folder.mkdir()
    line = {"name": "tiny/x", "filename": filename, "sha256": "", "size": 1, "licence": "", "source": "", **other}
    (folder / "manifest.json").write_text(json.dumps({"version": 1, "files": [line]}))
    if "/" not in filename:
        (folder / filename).write_bytes(content)
    return folder


@pytest.mark.parametrize("name", ["bundle", "bundle.tar"])
@pytest.mark.usefixtures("filled")
def test_there_and_back(
    name: str, tmp_path: Path, record: Record, content: Content, elsewhere: Callable[[], Path]
) -> None:
    records = [record("a.pt"), record("b.pt"), record("c.bin")]  # c.bin is not here
    lines = export_bundle(tmp_path / name, records)
    assert [(line.name, line.filename, line.licence) for line in lines] == [
        ("tiny/a", "a.pt", "not stated"),
        ("tiny/b", "b.pt", "not stated"),
    ]
    assert [line.sha256 for line in lines] == [record("a.pt").sha256, record("b.pt").sha256]
    new = elsewhere()
    assert [fresh for _, fresh in import_bundle(tmp_path / name, records)] == [True, True]
    assert {file.name: file.read_bytes() for file in new.iterdir()} == {n: content[n] for n in ("a.pt", "b.pt")}
    assert locate(record("a.pt")) == new / "a.pt"
    assert [fresh for _, fresh in import_bundle(tmp_path / name, records)] == [False, False]


def test_a_converted_file_travels(cache: Path, tmp_path: Path, record: Record, elsewhere: Callable[[], Path]) -> None:
    cache.mkdir(parents=True)
    torch.save({"state_dict": {"w": torch.ones(2)}, "extra": Path("x")}, cache / "a.pt")
    unconverted = record(needs_conversion=True, sha256=sha256_of(cache / "a.pt"), size=0)
    convert(cache / "a.pt")
    (line,) = export_bundle(tmp_path / "bundle.tar", [unconverted])
    assert line.filename == "a.safetensors"
    new = elsewhere()
    with pytest.raises(WeightsError, match=r"got a converted file, whose hash nobody has registered\. .*--unverified"):
        import_bundle(tmp_path / "bundle.tar", [unconverted])
    import_bundle(tmp_path / "bundle.tar", [unconverted], ["tiny/a"])
    assert locate(unconverted) == new / "a.safetensors"


def test_export_refuses(filled: Path, tmp_path: Path, record: Record) -> None:
    with pytest.raises(WeightsError, match=r"none of these weights is here to export\. Run"):
        export_bundle(tmp_path / "x", [record("c.bin")])
    with pytest.raises(WeightsError) as error:
        export_bundle(tmp_path / "x.zip", [record()])
    assert str(error.value) == f"bundle {tmp_path}/x.zip: expected a folder or a '.tar', got '.zip'."
    with pytest.raises(WeightsError, match=r"exists already\. Choose another name\."):
        export_bundle(tmp_path, [record()])
    (filled / "a.pt").write_bytes(b"spoilt")
    with pytest.raises(WeightsError, match="expected sha256"):
        export_bundle(tmp_path / "x.tar", [record()])
    assert not (tmp_path / "x.tar").exists()


@pytest.mark.parametrize(
    "filename", ["../x.pt", "/abs/x.pt", "a/b.pt", "..", "", "..\\x.pt", "C:x.pt", ".hidden", "x/../../y.pt"]
)
@pytest.mark.parametrize("tarred", [True, False])
def test_a_name_that_leads_elsewhere_is_refused(
    filename: str, tarred: bool, tmp_path: Path, cache: Path, record: Record
) -> None:
    line = {"name": "tiny/x", "filename": filename, "sha256": "", "size": 1, "licence": "", "source": ""}
    manifest = json.dumps({"version": 1, "files": [line]}).encode()
    bundle = tmp_path / ("bundle.tar" if tarred else "bundle")
    if tarred:
        with tarfile.open(bundle, "w") as out:
            for name, content in (("manifest.json", manifest), (filename or "x", b"x")):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                out.addfile(info, io.BytesIO(content))
    else:
        bundle.mkdir()
        (bundle / "manifest.json").write_bytes(manifest)
    with pytest.raises(WeightsError) as error:
        import_bundle(bundle, [record()])
    wanted = f"bundle {bundle}: expected plain file names, got {filename!r}. Do not trust it."
    assert str(error.value) == wanted
    assert not cache.exists()


def test_a_link_is_no_file(tmp_path: Path, cache: Path, record: Record) -> None:
    bundle = bundle_of(tmp_path / "bundle", "x.pt")
    known = [record(name="x", filename="x.pt")]
    (bundle / "x.pt").unlink()
    (bundle / "x.pt").symlink_to("/etc/passwd")
    with pytest.raises(WeightsError, match=r"bundle .*: expected a file 'x\.pt', got none\."):
        import_bundle(bundle, known)
    with tarfile.open(tmp_path / "bundle.tar", "w") as out:
        out.add(bundle / "manifest.json", "manifest.json")
        out.add(bundle / "x.pt", "x.pt")
    with pytest.raises(WeightsError, match=r"bundle .*: expected a file 'x\.pt', got none\."):
        import_bundle(tmp_path / "bundle.tar", known)
    assert list(cache.iterdir()) == []


def test_hashes_are_checked(filled: Path, tmp_path: Path, record: Record, content: Content) -> None:
    export_bundle(tmp_path / "bundle", [record()])
    (filled / "a.pt").unlink()
    (tmp_path / "bundle" / "a.pt").write_bytes(b"spoilt")
    with pytest.raises(WeightsError, match=r"expected sha256 .*, got .*\. Copy the bundle again\."):
        import_bundle(tmp_path / "bundle", [record()])

    # A manifest that was changed along with its file does not pass for the registered one.
    other = bundle_of(tmp_path / "other", "a.pt", b"spoilt", name="tiny/a", sha256=sha256_of(tmp_path / "bundle/a.pt"))
    with pytest.raises(WeightsError, match="It is not the file that is registered here"):
        import_bundle(other, [record()])
    # Nor does a file take the place of another one.
    taken = bundle_of(tmp_path / "taken", "b.pt", content["a.pt"], name="tiny/a", sha256=record().sha256)
    with pytest.raises(WeightsError, match=r"expected file 'a\.pt', got 'b\.pt'"):
        import_bundle(taken, [record()])
    assert [file.name for file in filled.iterdir()] == ["b.pt"]


@pytest.mark.parametrize("name", ["tiny/x", "a", "tiny/b", "tiny/A", "", "core/a"])
def test_a_name_that_is_not_registered_brings_no_file(
    name: str, tmp_path: Path, cache: Path, record: Record, content: Content
) -> None:
    """Not under a registered file name, either: it would hide the copy of an installed package."""
    bundle = bundle_of(tmp_path / "bundle", "a.pt", content["a.pt"], name=name, sha256=record().sha256)
    with pytest.raises(WeightsError, match="expected weights that a plugin registers here, got another name"):
        import_bundle(bundle, [record()], [name])
    assert not cache.exists()


@pytest.mark.parametrize("word", [[], ["tiny/b"], ["tiny/a"]])
def test_a_file_without_a_registered_hash_needs_a_word(
    word: list[str], tmp_path: Path, cache: Path, record: Record
) -> None:
    planted = bundle_of(tmp_path / "bundle", "a.pt", b"bad!", name="tiny/a", sha256=hashlib.sha256(b"bad!").hexdigest())
    unknown = record(sha256="", size=0)
    if "tiny/a" in word:
        assert [new for _, new in import_bundle(planted, [unknown], word)] == [True]
        assert locate(unknown).read_bytes() == b"bad!"
        return
    with pytest.raises(WeightsError) as error:
        import_bundle(planted, [unknown], word)
    assert str(error.value) == (
        f"weights 'tiny/a' in {planted}: expected a file that can be compared, got one without a registered hash. "
        "If you trust where the bundle came from, say --unverified tiny/a."
    )
    assert not cache.exists()


def test_a_word_does_not_replace_a_hash(tmp_path: Path, record: Record) -> None:
    planted = bundle_of(tmp_path / "bundle", "a.pt", b"bad!", name="tiny/a", sha256=hashlib.sha256(b"bad!").hexdigest())
    with pytest.raises(WeightsError, match="It is not the file that is registered here"):
        import_bundle(planted, [record()], ["tiny/a"])


def test_nothing_is_written_where_one_line_is_refused(filled: Path, tmp_path: Path, record: Record) -> None:
    export_bundle(tmp_path / "bundle", [record("a.pt"), record("b.pt")])
    (filled / "a.pt").unlink()
    with pytest.raises(WeightsError, match=r"weights 'tiny/b' in .* got another name"):
        import_bundle(tmp_path / "bundle", [record("a.pt")])
    assert not (filled / "a.pt").exists()


def spoil(bundle: Path, cache: Path) -> None:
    (bundle / "b.pt").write_bytes(b"spoilt")


def lose(bundle: Path, cache: Path) -> None:
    (bundle / "b.pt").unlink()


def forge(bundle: Path, cache: Path) -> None:
    """Its manifest fits the file, and neither fits what is registered."""
    old = (bundle / "b.pt").read_bytes()
    (bundle / "b.pt").write_bytes(b"forged")
    manifest = (
        (bundle / "manifest.json").read_text().replace(*(hashlib.sha256(x).hexdigest() for x in (old, b"forged")))
    )
    (bundle / "manifest.json").write_text(manifest)


def occupy(bundle: Path, cache: Path) -> None:
    (cache / "b.pt").write_bytes(b"the user's own")


def build(bundle: Path, cache: Path) -> None:
    (cache / "b.pt").mkdir()


@pytest.mark.parametrize("harm", [spoil, lose, forge, occupy, build])
def test_all_files_are_checked_before_the_first_is_written(
    harm: Callable[[Path, Path], None], filled: Path, tmp_path: Path, record: Record
) -> None:
    records = [record("a.pt"), record("b.pt")]
    export_bundle(tmp_path / "bundle", records)
    for name in ("a.pt", "b.pt"):
        (filled / name).unlink()
    harm(tmp_path / "bundle", filled)
    before = sorted(filled.iterdir())
    with pytest.raises(WeightsError, match=r"b\.pt|tiny/b"):
        import_bundle(tmp_path / "bundle", records)
    assert sorted(filled.iterdir()) == before


def test_a_cache_that_takes_one_file_and_no_other_keeps_none(
    filled: Path, tmp_path: Path, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [record("a.pt"), record("b.pt")]
    export_bundle(tmp_path / "bundle", records)
    for name in ("a.pt", "b.pt"):
        (filled / name).unlink()
    move = os.replace

    def full(source: Path, target: Path) -> None:
        if target.name == "b.pt":
            raise OSError(errno.ENOSPC, "full")
        move(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(DiskError):
        import_bundle(tmp_path / "bundle", records)
    assert list(filled.iterdir()) == []


def test_a_file_that_is_here_is_never_overwritten(filled: Path, tmp_path: Path, record: Record) -> None:
    export_bundle(tmp_path / "bundle", [record()])
    (filled / "a.pt").write_bytes(b"the user's own")
    with pytest.raises(WeightsError, match=r"Delete the file and import again\."):
        import_bundle(tmp_path / "bundle", [record()])
    assert (filled / "a.pt").read_bytes() == b"the user's own"
