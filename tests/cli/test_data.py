"""`--json` and `--csv`: what a table shows, for other programs, with nothing else on standard output."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from regionloss.cli.main import app
from regionloss.data.sidecars.sidecar import Scan, Sidecar, write_sidecar
from tests.cli.test_inspect import PLUGIN, TERMS

GIVEN = ["--detector", "given", "--option", "boxes=[[0.25, 0.5, 0.75, 1.0]]"]
COMMANDS = {
    "detect": ["detect", "image.png", *GIVEN, "--out", "drawn.png"],
    "inspect": ["inspect", "image.png", "--terms", "terms.yaml"],
    "components": ["components"],
    "components of a kind": ["components", "hosts"],
    "plugins": ["plugins"],
    "stats": ["regions", "stats", "all.regions.parquet"],
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REGIONLOSS_PLUGINS", "")
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (40, 20), "grey").save("image.png")
    (tmp_path / "colours.py").write_text(PLUGIN)
    (tmp_path / "terms.yaml").write_text(TERMS % "mean")
    entry = {"kind": "text", "box": [0.0, 0.0, 0.25, 0.5], "quad": None, "keypoints": None, "score": 0.5}
    row = {"key": "image.png", "width": 40, "height": 20, "scans": [Scan("x", "1", kind="text").__dict__]}
    row["scans"].append(Scan("y", "1", kind="face").__dict__)
    row["regions"] = [entry | {"text": 'a, "b"', "detector": "x"}]
    write_sidecar("all.regions.parquet", Sidecar.of([row]))
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(app, [*words])


@pytest.mark.parametrize("name", COMMANDS)
def test_standard_output_is_data_alone_and_both_forms_say_the_same(folder: Path, name: str) -> None:
    as_json, as_csv = (run(*COMMANDS[name], form) for form in ("--json", "--csv"))
    assert (as_json.exit_code, as_csv.exit_code) == (0, 0), as_json.output
    rows: list[dict[str, Any]] = json.loads(as_json.stdout)
    again = list(csv.DictReader(io.StringIO(as_csv.stdout)))
    assert rows
    assert [{k: "" if v is None else str(v) for k, v in row.items()} for row in rows] == again
    both = run(*COMMANDS[name], "--json", "--csv")
    assert both.exit_code == 2
    assert "--json, --csv: expected one of them, got both" in both.output


def test_numbers_are_whole(folder: Path) -> None:
    (found,) = json.loads(run(*COMMANDS["detect"], "--json").stdout)
    assert found == {
        "image": "image.png", "kind": "text", "x1": 10.0, "y1": 10.0, "x2": 30.0, "y2": 20.0, "score": None,
        "quad": None, "text": "",
    }  # fmt: skip
    assert (folder / "drawn.png").is_file()
    seen = json.loads(run(*COMMANDS["inspect"], "--json").stdout)
    assert [row["region"] for row in seen] == [0, 1]
    assert seen[0]["product"] == seen[0]["distance"] * seen[0]["weight"]
    face, text = json.loads(run(*COMMANDS["stats"], "--json").stdout)
    assert (face["kind"], face["looked_at"], face["regions"], face["side_50"]) == ("face", 1, 0, None)
    # A box of 10 x 10 of 40 x 20 pixels; a middle crop of a square leaves none of it.
    assert (text["regions"], text["side_50"], text["area_50"], text["score_90"], text["survive"]) == (
        1, 10.0, 0.125, 0.5, 0
    )  # fmt: skip


def test_names_and_weights_of_terms_are_those_that_recipes_take(folder: Path) -> None:
    from regionloss.hooks.catalogue import build_catalogue

    rows = json.loads(run("components", "term", "--json").stdout)
    wanted = [(term.canonical, term.weight) for term in build_catalogue([]).terms()]
    assert [(row["name"], row["weight"]) for row in rows] == wanted


def test_nothing_found_is_an_empty_list_and_a_head(folder: Path) -> None:
    words = ["detect", "image.png", "--detector", "given", "--option", "boxes=[]"]
    assert json.loads(run(*words, "--json").stdout) == []
    assert run(*words, "--csv").stdout == "image,kind,x1,y1,x2,y2,score,quad,text\n"


def test_a_term_stands_for_its_detector(folder: Path) -> None:
    words = ["detect", "image.png", "--plugin", "colours.py", "--json"]
    found = json.loads(run(*words, "--detector", "colours/mean").stdout)
    assert [row["x1"] for row in found] == [0.0, 20.0]
    refused = run(*words, "--detector", "colours/given")
    assert "--detector: expected a term with a detector, got 'colours/given', whose regions are given" in refused.output
