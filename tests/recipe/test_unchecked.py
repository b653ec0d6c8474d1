"""What a check does without: the recipe's plugins, where they are not to be run, and detectors that are not here."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

import regionloss as rl
from regionloss.cli.main import app
from regionloss.errors import PluginError, RecipeError
from regionloss.recipe import build_detector, load_recipe, resolved, train
from regionloss.recipe.load import load_any, load_begun
from tests.recipe.conftest import PLUGIN, RECIPE

MARK = "\nfrom pathlib import Path\nPath('was-run').write_text('')\n"
#: A term of an installed component alone, beside that of the plugin.
BOTH = RECIPE.replace("trainer:", "  lpips: {use: region-lpips, kind: text, weight: 0.1}\ntrainer:")


def check(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["check", *words])
    return result.exit_code, result.output


def test_a_check_without_plugins_runs_nothing_of_them_and_says_what_it_left_out(folder: Path) -> None:
    (folder / "tiny.py").write_text(PLUGIN + MARK)
    (folder / "recipe.yaml").write_text(BOTH)
    code, said = check("recipe.yaml", "--no-plugins")
    lines = said.splitlines()
    assert (code, lines[:2]) == (
        0,
        [
            "recipe.yaml: no mistakes in what was checked. Terms: word, lpips.",
            "not checked: recipe.yaml:3: plugins.0: 'tiny.py' was not run.",
        ],
    )
    assert [line.split(": ")[2] for line in lines[1:]] == ["plugins.0", "terms.word.use", "trainer.name"]
    assert not (folder / "was-run").exists()
    assert check("recipe.yaml") == (0, "recipe.yaml: no mistakes. Terms: word, lpips.\n")
    assert (folder / "was-run").exists()


@pytest.mark.parametrize(
    "source", ["import not_there_at_all", "raise SystemExit(3)", "while True: pass", "(", "\0", "import tiny"]
)
def test_whatever_a_plugin_holds_is_not_run(folder: Path, source: str) -> None:
    (folder / "tiny.py").write_text(source)
    assert check("recipe.yaml", "--no-plugins")[0] == 0


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("terms.lpips.weight=x", "terms.lpips.weight: expected a number"),
        ("terms.lpips.backbone.options.nett=alex", "terms.lpips.backbone.options.nett: expected a known key"),
        ("seed=x", "seed: expected an integer"),
        ("plugins=[./tny.py]", "plugins.0: tny: there is no file"),
        ("plugins=[./recipe.yaml]", "is not a Python file. Name a module that ends in .py."),
        ("plugins=[]", "terms.word.use: no term is named 'tiny'"),
    ],
)
def test_what_needs_no_plugin_is_checked_without_them(folder: Path, override: str, said: str) -> None:
    (folder / "tiny.py").write_text(PLUGIN + MARK)
    (folder / "recipe.yaml").write_text(BOTH)
    code, out = check("recipe.yaml", override, "--no-plugins")
    assert code == 2
    assert said in out
    assert not (folder / "was-run").exists()


def test_a_recipe_without_plugins_is_checked_whole_either_way(folder: Path) -> None:
    text = "version: 1\nterms: {lpips: {use: region-lpips, kind: text}}\n"
    (folder / "terms.yaml").write_text(text)
    assert check("terms.yaml", "--no-plugins") == check("terms.yaml") == (0, "terms.yaml: no mistakes. Terms: lpips.\n")


FINDER = """
@hookimpl
def register_detectors(register):
    register("finder", "finding:Finder", licence="MIT", summary="finds words")


"""
SPARED = "Training on side-cars goes without it; 'regionloss annotate' needs it."
#: What the detector's module holds, and how the sentence goes on.
BROKEN = {
    "a package that is not here": ("import not_there_at_all", "ModuleNotFoundError: No module named"),
    "a library that is not here": ("raise OSError('libGL.so.1: no such file')", "OSError: libGL.so.1"),
    "a version that does not fit": ("raise RuntimeError('compiled for NumPy 1')", "RuntimeError: compiled for NumPy 1"),
    "a module that leaves the program": ("raise SystemExit(3)", "SystemExit: 3"),
    "a class that is not there": ("x = 1", "has no 'Finder'"),
}


@pytest.fixture(params=[True, False], ids=["the term's own", "named by the recipe"])
def finder(folder: Path, request: pytest.FixtureRequest) -> Path:
    """The folder, with a detector that the term has of itself, or that the recipe names."""
    plugin = PLUGIN.replace("@hookimpl\ndef register_weights", FINDER.strip() + "\n\n\n@hookimpl\ndef register_weights")
    if request.param:
        plugin = plugin.replace('detector="given"', 'detector="finder"').replace(', "detector": {"boxes": []}', "")
    else:
        (folder / "recipe.yaml").write_text(RECIPE.replace("    weight:", "    detector: tiny/finder\n    weight:"))
    (folder / "tiny.py").write_text(plugin)
    return folder


@pytest.mark.parametrize(("source", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_detector_that_cannot_be_imported_is_no_mistake_of_the_recipe(finder: Path, source: str, reason: str) -> None:
    (finder / "finding.py").write_text(source)
    code, said = check("recipe.yaml")
    first, note = said.splitlines()
    assert (code, first) == (0, "recipe.yaml: no mistakes in what was checked. Terms: word.")
    assert "terms.word.detector.name: detector 'tiny/finder' (" in note
    assert reason in note
    assert note.endswith(SPARED)


def test_training_and_what_it_writes_need_no_detector(finder: Path) -> None:
    (finder / "finding.py").write_text("import not_there_at_all")
    result = CliRunner().invoke(app, ["train", "recipe.yaml", "--out", "run"])
    assert result.exit_code == 0, result.output
    assert "not checked: recipe.yaml:" in result.stderr
    assert SPARED in result.stderr
    written = yaml.safe_load((finder / "run" / "resolved.yaml").read_text())
    assert written["recipe"]["terms"]["word"]["detector"] == {"name": "tiny/finder", "options": {}}
    begun = load_begun(finder / "run")
    assert len(begun.unchecked) == 1
    assert resolved(begun)["recipe"] == written["recipe"]
    train(begun, finder / "again")
    assert isinstance(rl.load_terms(write_terms(finder)), rl.LossTerms)


def write_terms(folder: Path) -> Path:
    head = (folder / "recipe.yaml").read_text().split("trainer:")[0].replace("seed: 7\n", "")
    (folder / "terms.yaml").write_text(head)
    return folder / "terms.yaml"


def test_who_looks_at_images_is_told_that_the_detector_is_not_here(finder: Path) -> None:
    (finder / "finding.py").write_text("import not_there_at_all")
    with pytest.raises(PluginError, match=r"detector 'tiny/finder' .* cannot be imported"):
        build_detector(load_recipe("recipe.yaml"), "word")


def test_a_detector_that_is_here_is_checked(finder: Path) -> None:
    (finder / "finding.py").write_text("class Finder:\n    kind = 'face'\n    def __init__(self, size: int = 3): ...\n")
    with pytest.raises(RecipeError, match=r"detector '(tiny/)?finder': expected one that finds 'text'"):
        load_recipe("recipe.yaml")
    (finder / "finding.py").write_text("class Finder:\n    kind = 'text'\n    def __init__(self, size: int = 3): ...\n")
    with pytest.raises(RecipeError, match=r"terms\.word\.detector\.options\.size: expected an integer, got \"x\""):
        load_recipe("recipe.yaml", ["terms.word.detector={name: tiny/finder, options: {size: x}}"])


def test_a_detector_of_a_plugin_that_is_not_installed_is_spared_where_the_recipe_does_not_name_it(folder: Path) -> None:
    (folder / "tiny.py").write_text(PLUGIN.replace('detector="given"', 'detector="ocr/finder"'))
    loaded = load_any("recipe.yaml")
    assert "terms.word.detector.name: no detector is named 'ocr/finder'." in loaded.unchecked[0]
    assert "detector" not in resolved(loaded)["recipe"]["terms"]["word"]
    with pytest.raises(RecipeError, match=r"terms\.word\.detector\.name: no detector is named 'ocr/finer'"):
        load_any("recipe.yaml", ["terms.word.detector=ocr/finer"])
