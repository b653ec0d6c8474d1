"""`regionloss plugin new`: what it writes works as it is, and nothing is overwritten."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from regionloss.cli.main import app
from regionloss.testing.check.check import findings_of
from regionloss.testing.check.findings import ADVICE, MISSING, UNTRIED
from regionloss.testing.template import write_plugin


def typed(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `python WORDS` in `folder`."""
    variables = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *words], cwd=folder, env=variables, capture_output=True, text=True)


def new(*words: str) -> object:
    return CliRunner().invoke(app, ["plugin", "new", *words], env={"COLUMNS": "200"})


def test_its_tests_pass_and_ruff_has_nothing_to_say(tmp_path: Path) -> None:
    """A name with a dash and a digit, which differs from the module's and the class's."""
    result = new("road-signs2", "--out", str(tmp_path), "--kind", "sign", "--author", "A. Nother <a@b.org>")
    assert result.exit_code == 0, result.output
    folder = tmp_path / "regionloss-road-signs2"
    assert str(folder) in result.output
    tests = typed("-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", folder=folder)
    assert tests.returncode == 0, tests.stdout
    assert "21 passed" in tests.stdout
    for words in (["check"], ["format", "--check"]):
        ruff = typed("-m", "ruff", *words, "--no-cache", ".", folder=folder)
        assert ruff.returncode == 0, ruff.stdout
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["regionloss"] == {"road-signs2": "regionloss_road_signs2.plugin"}
    assert project["authors"] == [{"name": "A. Nother", "email": "a@b.org"}]


@pytest.mark.parametrize("kind", ["hands", "face"])
def test_the_check_finds_nothing_missing(tmp_path: Path, kind: str) -> None:
    """A kind that core knows is not registered anew; the placeholders are named, to be replaced."""
    folder, _, _ = write_plugin("hands", tmp_path, kind)
    registers = "register_region_kinds" in (folder / "src" / "regionloss_hands" / "plugin.py").read_text()
    assert registers == (kind == "hands")
    found = list(findings_of(folder))
    assert not [f for f in found if f.state in (MISSING, UNTRIED)]
    assert {"detector 'colour'", "backbone 'edges'", "term 'edges'"} <= {f.part for f in found}
    (template,) = (f.sentence for f in found if f.part == "template")
    assert "src/regionloss_hands/detector.py:" in template
    assert "src/regionloss_hands/backbone.py:" in template


def test_its_parts_have_the_names_that_are_asked_for(tmp_path: Path) -> None:
    """Everywhere: nothing is left to be renamed by hand, and its tests pass."""
    words = ["--kind", "code", "--detector", "bars", "--backbone", "gabor-bank"]
    assert new("barcode", "--out", str(tmp_path), *words).exit_code == 0
    folder = tmp_path / "regionloss-barcode"
    parts = {f.part for f in findings_of(folder) if f.state != ADVICE}
    assert {"detector 'bars'", "backbone 'gabor-bank'", "term 'gabor-bank'"} <= parts
    texts = "".join(path.read_text() for path in folder.rglob("*.*") if path.is_file())
    assert not re.search(r"ColourDetector|EdgeBackbone|barcode/(colour|edges)|[\"`](colour|edges)[\"`.]", texts)
    tests = typed("-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", folder=folder)
    assert tests.returncode == 0, tests.stdout
    ruff = typed("-m", "ruff", "check", "--no-cache", ".", folder=folder)
    assert ruff.returncode == 0, ruff.stdout


def test_it_takes_no_torch(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom regionloss.cli.main import run\n"
        "sys.argv = ['regionloss', 'plugin', 'new', 'hands']\n"
        "try:\n    run()\nexcept SystemExit as left:\n    print(left.code, 'torch' in sys.modules, file=sys.stderr)\n"
    )
    result = typed("-c", program, folder=tmp_path)
    assert result.stderr.splitlines()[-1] == "0 False"
    assert (tmp_path / "regionloss-hands" / "src" / "regionloss_hands" / "plugin.py").is_file()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    mine = tmp_path / "regionloss-hands"
    mine.mkdir()
    (mine / "README.md").write_text("mine")
    result = new("hands", "--out", str(tmp_path))
    assert result.exit_code == 2
    assert result.stderr.startswith(f"{mine}: it exists already, and nothing is overwritten. Choose another name")
    assert [path.name for path in mine.iterdir()] == ["README.md"]
    assert (mine / "README.md").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("My Hands", "single dashes, got 'My Hands'. Write 'my-hands'."),
        ("my_hands", "Write 'my-hands'."),
        ("2hands", "got '2hands'. Begin it with a letter."),
        ("hands-", "Write 'hands'."),
        ("", "got ''."),
        ("../hands", "got '../hands'. Write 'hands'."),
        ("regionloss-hands", "expected the plugin's name alone, got 'regionloss-hands'. Write 'hands'."),
        ("core", "name: 'core' belongs to a plugin that comes with regionloss. Choose another one."),
        ("face", "name: 'face' belongs to"),
    ],
)
def test_a_name_that_cannot_be_is_a_sentence(tmp_path: Path, name: str, sentence: str) -> None:
    result = new(name, "--out", str(tmp_path))
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words", [["--kind", "Big Sign"], ["--author", "a <b"], ["--detector", "2 bars"], ["--backbone", "Gabor"]]
)
def test_other_words_that_cannot_be_are_sentences(tmp_path: Path, words: list[str]) -> None:
    result = new("signs", "--out", str(tmp_path), *words)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"{words[0]}: expected ")
    assert not list(tmp_path.iterdir())


def test_a_name_that_an_installed_plugin_has_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from regionloss.hooks import catalogue
    from tests.disk_plugins import write_distribution

    write_distribution(tmp_path, "signs", name="somebody-elses")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("REGIONLOSS_PLUGINS", "signs")
    catalogue.forget()
    result = new("signs", "--out", str(tmp_path))
    catalogue.forget()
    assert result.exit_code == 0
    assert "note: plugin 'signs' (somebody-elses 1.0) is installed and has this name too." in result.output


DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_says_truly_how_long_its_plugin_is() -> None:
    """The module as it has grown, and the file of terms: what a newcomer has typed by then."""
    page = (DOCS / "how-to" / "write-a-plugin.md").read_text().split("Under eighty lines so far")[0]
    blocks = [block.split("```")[0] for language in ("python", "yaml") for block in page.split(f"```{language}\n")[1:]]
    modules = [block for block in blocks if block.startswith("# signs.py")]
    terms = [block for block in blocks if block.startswith("# signs.yaml")]
    assert (len(modules), len(terms)) == (2, 1)
    assert 60 < len(modules[-1].splitlines()) + len(terms[0].splitlines()) < 80


@pytest.mark.parametrize("page", ["tutorial.md", "how-to/write-a-plugin.md"])
def test_who_has_a_new_term_is_led_to_its_weight(page: str) -> None:
    assert "choose-a-weight.md)" in (DOCS / page).read_text()
