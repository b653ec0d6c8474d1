"""TokBench's own result files: the numbers that its script prints, and what is said of files that are none."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from regionloss.cli.main import app

GOLDEN = Path(__file__).parents[1] / "golden" / "tokbench"
SETTINGS = (256, 512, 1024)


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["aggregate", *map(str, arguments)])


def output(*arguments: object) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[Path]]:
    """The real records as result files, a data set each, under each setting."""
    found: dict[str, dict[str, Any]] = {}
    with gzip.open(GOLDEN / "text_records.jsonl.gz", "rt", encoding="utf-8") as lines:
        for one in map(json.loads, lines):
            image = found.setdefault(one["dataset"], {}).setdefault(one["file"], {"results": []})
            image["results"].append({name: one[name] for name in ("gt", "pred", "ratio", "accuracy", "ned")})
    files: dict[int, list[Path]] = {}
    for setting in SETTINGS:
        folder = tmp_path_factory.mktemp(str(setting))
        for name, details in found.items():
            content = {"tokenizer1": {str(setting): {"results": {}, "details": details}}}
            (folder / f"{name}.json").write_text(json.dumps(content))
        files[setting] = sorted(folder.iterdir())
    return files


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    found = json.loads(gzip.decompress((GOLDEN / "synthetic_records.json.gz").read_bytes()))
    folder = tmp_path_factory.mktemp("synthetic")
    for name, content in found.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return sorted(folder.iterdir())


@pytest.mark.parametrize("setting", SETTINGS)
def test_real_records_give_the_numbers_of_the_script(real: dict[int, list[Path]], setting: int) -> None:
    wanted = json.loads((GOLDEN / "expected_text.json").read_text())["expected_text"][str(setting)]
    (row,) = output(*real[setting], "--setting", setting)["rows"]
    precise = wanted["precise"]
    assert list(row["counts"].values()) == precise["n_bucket"]
    assert row["outside"] == precise["n_excluded"]
    names = {"mean_of_groups": "mean_of_buckets", "mean_of_all": "mean_all_instances"}
    names |= {"mean_in_groups": "mean_bucketed_instances"}
    for measure in ("accuracy", "ned"):
        for ours, value in row["measures"][measure].items():
            assert value == pytest.approx(precise[measure][names.get(ours, ours)], abs=1e-14), (measure, ours)
    assert output(*real[setting], "--setting", setting, "--official") == {"text": [wanted["official_printed_row"]]}


def test_the_official_row_as_it_is_printed(real: dict[int, list[Path]]) -> None:
    wanted = json.loads((GOLDEN / "expected_text.json").read_text())["expected_text"]["256"]["official_printed_row"]
    assert run(*real[256], "--setting", 256, "--official").stdout.splitlines()[-1].split() == wanted


def test_each_data_set_alone_too_and_an_empty_group_is_said(real: dict[int, list[Path]]) -> None:
    wanted = json.loads((GOLDEN / "expected_text.json").read_text())["per_dataset_256_edges"]
    for path in real[256]:
        (row,) = output(path, "--setting", 256)["rows"]
        for measure in ("accuracy", "ned"):
            for group, value in row["measures"][measure].items():
                if group in ("small", "medium", "large"):
                    known = wanted[path.stem][measure][group]
                    assert value == (None if known is None else pytest.approx(known, abs=1e-14))
        page = run(path, "--setting", 256).stdout
        assert ("no instances" in page) == ("a group is empty" in page) == (path.stem == "sroie")
        assert "nan" not in page.lower()


def test_synthetic_records_give_the_rows_of_the_script(synthetic: list[Path]) -> None:
    wanted = json.loads((GOLDEN / "expected_synthetic.json").read_text())["printed_rows"]
    for setting in SETTINGS:
        found = output(*synthetic, "--setting", setting, "--official")
        assert found == {kind: wanted[kind][str(setting)] for kind in ("text", "face")}
    everything = output(*synthetic, "--official")
    assert everything == {kind: [row for rows in wanted[kind].values() for row in rows] for kind in ("text", "face")}


def test_what_the_script_leaves_out_is_shown_and_said(synthetic: list[Path]) -> None:
    rows = {(row["kind"], row["method"]) for row in output(*synthetic, "--setting", 512)["rows"]}
    assert rows == {(kind, name) for kind in ("text", "face") for name in ("methodA", "methodB", "ori", "titok")}
    page = run(*synthetic, "--setting", 512).stdout
    assert "ori (ceiling)" in page
    assert page.count("titok: TokBench's own table leaves this row out (--official).") == 1
    assert page.count("ori: TokBench's own table leaves this row out (--official).") == 2
    assert "'mean of groups' is the plain mean of the three group means, the 'mean' of TokBench's table" in page


def content(*records: dict[str, Any], method: str = "m", setting: str = "256") -> dict[str, Any]:
    return {method: {setting: {"results": {}, "details": {"a.jpg": {"results": list(records)}}}}}


def text(ratio: object = 0.025, **changes: object) -> dict[str, Any]:
    return {"gt": "a", "pred": "a", "ratio": ratio, "accuracy": 1, "ned": 1.0} | changes


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, object], Path]:
    def written(name: str, found: object) -> Path:
        path = tmp_path / f"{name}.json"
        path.write_text(found if isinstance(found, str) else json.dumps(found))
        return path

    return written


def test_edges_are_half_open_and_what_lies_outside_is_dropped_and_named(write) -> None:
    ratios = (0.0199999, 0.02, 0.03, 0.04, 0.9999999, 1.0, -0.1, 1e8)
    path = write("some", content(*map(text, ratios)))
    (row,) = output(path)["rows"]
    assert row["counts"] == {"small": 1, "medium": 1, "large": 2}
    assert row["outside"] == 4
    page = run(path, path).stdout  # the same file again is the same file
    assert "m: 4 of 8 dropped, a ratio below 0.02, or 1 and more; the smallest is 'a.jpg' with -0.1." in page


def test_methods_that_not_every_file_has_are_pooled_from_those_that_do_and_named(write) -> None:
    first = write("ic13", content(text()) | content(text(accuracy=0), method="both"))
    second = write("tt", content(text(), method="both", setting="text_256") | content(text(), method="only"))
    rows = {row["method"]: row for row in output(first, second)["rows"]}
    assert list(rows) == ["m", "both", "only"]
    assert rows["both"]["measures"]["accuracy"]["small"] == 0.5
    assert (rows["m"]["missing"], rows["only"]["missing"]) == (["tt.json"], ["ic13.json"])
    assert "only: pooled without ic13.json, which do not have it at 256." in run(second, first).stdout
    assert [row[0] for row in output(second, first, "--official")["text"]] == ["m", "both"]


def test_settings_of_one_side_are_pooled_as_the_script_does_and_methods_without_records_are_rows(write) -> None:
    both = {"256": content(text())["m"]["256"], "text_256": content(text(accuracy=0))["m"]["256"]}
    path = write("both", {"m": both, "none": {"256": {"results": {}, "details": {}}}})
    rows = {row["method"]: row for row in output(path)["rows"]}
    assert rows["m"]["measures"]["accuracy"]["small"] == 0.5
    assert rows["none"]["counts"] == {"small": 0, "medium": 0, "large": 0}
    assert set(rows["none"]["measures"]["ned"].values()) == {None}
    assert output(path, "--official")["text"][1] == ["none", "256", *["nan%"] * 8]


def test_records_that_cannot_be_used_are_counted(write) -> None:
    odd = (text(None), text("0.1"), text(0.025, ned=None), text(10**400), "nothing", text(0.025, accuracy="yes"))
    path = write("odd", content(text(), *odd, text(float("nan"))))
    found = output(path)
    assert found["rows"][0]["counts"]["small"] == 1
    said = "5 records whose ratio is no number, 1 records whose ned is no number, 1 records whose accuracy is no number"
    assert found["problems"] == [f"{path}: not counted: {said}."]


@pytest.mark.parametrize("options", [[], ["--official"], ["--json"]])
def test_names_that_no_terminal_can_show_are_spelled_out(write, options: list[str]) -> None:
    path = write("odd", content(text(), text(3), method="m\ud800<b>[red]é"))
    command = [sys.executable, "-m", "regionloss", "aggregate", str(path), *options]
    for encoding in ("utf-8", "ascii"):
        done = subprocess.run(command, capture_output=True, env=os.environ | {"PYTHONIOENCODING": encoding})
        assert done.returncode == 0, done.stderr
        assert b"m\\ud800<b>[red]" in done.stdout
        if "--json" in options:
            assert json.loads(done.stdout)["rows"][0]["method"] == "m\ud800<b>[red]é"


WRONG = {
    "no such file": None,
    "Expecting property name": "{",
    "methods by name, got list": [{"file_name": "a.jpg", "annotations": []}],
    "settings of method 'm', got list": {"m": []},
    "results and details of 'm' at '256', got int": {"m": {"256": 3}},
    "details of 'm' at '256', by image, got NoneType": {"m": {"256": {"results": {}}}},
    "results of image 'a.jpg', got list": {"m": {"256": {"details": {"a.jpg": []}}}},
    "a list of results, got dict": {"m": {"256": {"details": {"a.jpg": {"results": {}}}}}},
    "got none that can be used.": {"m": {"256": {"results": {}, "details": {}}}},
    "none that can be used; 1 records whose ratio is no number": content(text("x")),
    "records of a setting 256, 512, 1024, got none that can be used": content(text(), setting="384"),
}


@pytest.mark.parametrize("said", WRONG)
def test_files_that_are_none_are_sentences(said: str, write, tmp_path: Path) -> None:
    path = tmp_path / "not_there.json" if WRONG[said] is None else write("wrong", WRONG[said])
    result = run(path)
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith(f"{path}")
    assert said in result.stderr


def test_settings_are_checked(write) -> None:
    path = write("one", content(text()))
    assert "--setting: expected 256 or 512 or 1024, got 384." in run(path, "--setting", 384).stderr
    assert "expected one that a file has results of, got 512. They have: 256." in run(path, "--setting", 512).stderr
