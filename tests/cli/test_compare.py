"""`regionloss compare`: folders of results in, one page out, and a sentence for whatever is no results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from regionloss.cli.main import app
from tests.evaluation.report.fabricated import fabricate


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for name, blur in (("a-control", 1.6), ("b-ours", 0.9)):
        fabricate(tmp_path / "results" / name, name[2:], blur=blur, words=8, faces=2)
    return tmp_path / "results"


def compare(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["compare", *map(str, arguments)])


def names(page: Path) -> Sequence[str]:
    data = page.read_text().partition('id="instances-data">')[2].partition("</script>")[0]
    return [one["name"] for one in json.loads(data)["tokenizers"]]


def test_folders_or_the_folder_that_holds_them_make_one_page(results: Path, tmp_path: Path) -> None:
    page = tmp_path / "out" / "page.html"
    told = compare(*sorted(results.iterdir()), "--out", page)
    assert (told.exit_code, told.output) == (0, f"report: {page}\n")
    assert names(page) == ["control", "ours"]
    assert compare(results, results / "b-ours", "--out", page).exit_code == 0
    assert names(page) == ["control", "ours"]
    assert compare(tmp_path, "--out", page, "--baseline", "ours", "--title", "Two <tokenizers>").exit_code == 0
    assert names(page) == ["ours", "control"]
    assert "<h1>Two &lt;tokenizers&gt;</h1>" in page.read_text()


def test_what_is_no_results_is_named_and_left_out(results: Path, tmp_path: Path) -> None:
    (results / "c-broken").mkdir()
    (results / "c-broken" / "results.json").write_text('{"version": 1, "scores": [{"value": "x"}]}')
    (results / "report.html").write_text("an earlier page")
    page = tmp_path / "page.html"
    told = compare(*sorted(results.iterdir()), "--out", page)
    assert told.exit_code == 0
    assert told.stderr.count("left out: ") == 2
    assert f"{results / 'report.html'}" in told.stderr
    assert f"{results / 'c-broken' / 'results.json'}: expected results of an evaluation" in told.stderr
    assert page.read_text().count("Left out: ") == 2
    assert names(page) == ["control", "ours"]


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["nowhere"], "nowhere/results.json: expected results of an evaluation, got no such file."),
        (["results", "--out", "page.pdf"], "--out: expected a file that ends in .html, got 'page.pdf'."),
        (["results", "--baseline", "their's"], "--baseline: expected one of control, ours, got 'their's'."),
    ],
)
def test_what_cannot_be_is_a_sentence(
    results: Path, tmp_path: Path, arguments: list[str], wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told = compare(*arguments)
    assert told.exit_code == 2
    assert wanted in " ".join(told.output.split())
    assert not list(tmp_path.glob("*.html"))


ODD = [
    None,
    3,
    "x",
    [],
    {},
    [[]],
    [3],
    [{}],
    {"x": 3},
    {"text/t_acc": {"title": 3, "unit": []}},
    {"bpp": "wide"},
    1e400,
]


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_results_of_any_shape_end_in_a_page_or_in_a_sentence(tmp_path: Path, odd: object) -> None:
    fabricate(tmp_path / "a", words=2, faces=0, crops=False)
    path, page = tmp_path / "a" / "results.json", tmp_path / "page.html"
    whole = json.loads(path.read_text())
    for name in whole:
        path.write_text(json.dumps(whole | {name: odd}))
        told = compare(tmp_path / "a", "--out", page)
        if told.exit_code:
            assert told.output.startswith(f"{path}: "), (name, told.exception)
        else:
            assert "Not shown" not in page.read_text(), name
