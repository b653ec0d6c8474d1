"""`check`, `show` and `train`."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from regionloss.cli.main import app
from tests.recipe.conftest import PLUGIN, RECIPE


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REGIONLOSS_PLUGINS", "")
    (tmp_path / "tiny.py").write_text(PLUGIN)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def regionloss(*words: str) -> object:
    return CliRunner().invoke(app, list(words))


def test_check_says_that_all_is_well_or_all_that_is_not(folder: Path) -> None:
    well = regionloss("check", "recipe.yaml")
    assert (well.exit_code, well.stdout) == (0, "recipe.yaml: no mistakes. Terms: word.\n")
    wrong = regionloss("check", "recipe.yaml", "sed=1", "terms.word.use=tny")
    assert wrong.exit_code == 2
    assert [line.split(": ")[1] for line in wrong.stderr.splitlines()] == ["terms.word.use", "trainer.options.sed"]


def test_check_does_not_build_the_trainer(folder: Path) -> None:
    text = PLUGIN.replace("        self.phases = phases", "        raise SystemExit('built')")
    (folder / "tiny.py").write_text(text)
    assert regionloss("check", "recipe.yaml").exit_code == 0


def test_show_prints_a_recipe_with_everything_said(folder: Path) -> None:
    shown = yaml.safe_load(regionloss("show", "recipe.yaml", "seed=11").stdout)
    assert shown["recipe"]["seed"] == 11
    assert shown["recipe"]["terms"]["word"]["backbone"] == {
        "name": "tiny/net",
        "options": {"channels": 4, "weights": "net-file"},
    }


def test_train_runs_the_trainer_in_a_folder_of_its_own(folder: Path) -> None:
    for run in ("recipe", "recipe-2"):
        assert regionloss("train", "recipe.yaml", "terms.word.weight=2").exit_code == 0
        assert "'word 2.0'" in (folder / "runs" / run / "received.txt").read_text()
    assert (folder / "runs" / "recipe" / "resolved.yaml").is_file()


def test_train_writes_where_it_is_told_and_over_nothing(folder: Path) -> None:
    assert regionloss("train", "recipe.yaml", "--out", "here").exit_code == 0
    again = regionloss("train", "recipe.yaml", "--out", "here")
    assert again.exit_code == 2
    assert again.stderr.strip() == (
        "--out: expected an empty folder, got 'here', which has files. Choose another, delete it, or go on from it "
        "with --resume here."
    )


def test_train_goes_on_from_a_folder(folder: Path) -> None:
    assert regionloss("train", "recipe.yaml", "--out", "here").exit_code == 0
    assert regionloss("train", "recipe.yaml", "--resume", "here").exit_code == 0
    assert (folder / "here" / "received.txt").read_text().endswith(" 7 here")
    lost = regionloss("train", "recipe.yaml", "--resume", "nowhere")
    assert lost.exit_code == 2
    assert lost.stderr.startswith("--resume: expected the folder of an earlier run, got 'nowhere', which is none.")


def test_a_mistake_in_a_recipe_starts_nothing(folder: Path) -> None:
    assert regionloss("train", "recipe.yaml", "trainer.options.phases.0.steps=x").exit_code == 2
    assert not (folder / "runs").exists()


def test_missing_weights_fail_the_run_with_the_command_that_fetches_them(folder: Path) -> None:
    text = PLUGIN.replace("    torch.manual_seed(channels)\n", "    locate('net-file')\n", 1)
    (folder / "tiny.py").write_text(text.replace("import dataclasses\n", LOCATE, 1))
    result = regionloss("train", "recipe.yaml")
    assert result.exit_code == 1
    assert result.stderr.startswith("weights 'net-file' not found")


LOCATE = """
import dataclasses

def locate(name):
    from pathlib import Path

    from regionloss.hooks.catalogue import build_catalogue
    from regionloss.weights import locate

    return locate(build_catalogue([], [Path("tiny.py")]).weight(name))

"""
