"""`train --resume`, with the recipe named again and without; and what several processes would do."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from regionloss.cli.main import app
from regionloss.errors import InputError
from regionloss.recipe import load_recipe
from regionloss.recipe.run import train as train_recipe
from tests.recipe.conftest import PLUGIN, RECIPE


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REGIONLOSS_PLUGINS", "")
    (tmp_path / "tiny.py").write_text(PLUGIN)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    assert train("recipe.yaml", "seed=11", "--out", "run") == (0, "")
    return tmp_path


def train(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["train", *words])
    return result.exit_code, result.stderr


def received(folder: Path) -> str:
    text = (folder / "run" / "received.txt").read_text()
    (folder / "run" / "received.txt").unlink()
    return text


def test_a_run_goes_on_with_its_own_recipe_from_anywhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipe's file may have changed; its plugin lies beside it, not beside the run."""
    first = received(folder)
    assert first.endswith("11 None")
    (folder / "recipe.yaml").write_text(RECIPE.replace("seed: 7", "seed: 8"))
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert train("--resume", "../run") == (0, "")
    assert received(folder) == first.replace("None", "../run")
    assert sorted(path.name for path in (folder / "run").glob("*.yaml")) == ["resolved.yaml"]


def test_one_line_begins_and_goes_on(folder: Path) -> None:
    """As a launcher that starts a line again needs it; in a folder that is said, or in the one of the recipe's name."""
    received(folder)
    for out, own in (["--out", "other"], "other"), ([], "runs/recipe"):
        for earlier in ("None", own, own):
            assert train("recipe.yaml", "seed=11", *out, "--resume", "auto") == (0, "")
            assert (folder / own / "received.txt").read_text().endswith(f"11 {earlier}")
    assert train("--resume", "auto")[0] == 2


def test_the_folder_may_be_said_like_a_key(folder: Path) -> None:
    assert train("recipe.yaml", "out=there", "phases=[{steps: 5}]") == (0, "")
    written = yaml.safe_load((folder / "there" / "resolved.yaml").read_text())
    assert written["recipe"]["trainer"]["options"]["phases"] == [{"steps": 5, "rate": 1e-3}]
    code, error = train("recipe.yaml", "out=there", "--out", "here")
    assert (code, error) == (2, "out: expected one folder, got 'here' and 'there'.\n")


def test_a_run_goes_on_with_the_recipe_that_is_named(folder: Path) -> None:
    assert train("recipe.yaml", "--resume", "run") == (0, "")
    assert received(folder).endswith("7 run")


def test_what_a_run_was_begun_with_is_not_written_over(folder: Path) -> None:
    begun = (folder / "run" / "resolved.yaml").read_bytes()
    for _ in range(2):
        assert train("--resume", "run", "seed=12") == (0, "")
        assert received(folder).endswith("12 run")
    assert train("seed=13", "--resume", "run") == (0, "")
    assert (folder / "run" / "resolved.yaml").read_bytes() == begun
    later = [yaml.safe_load((folder / "run" / f"resolved.{n}.yaml").read_text()) for n in (1, 2)]
    assert [written["recipe"]["seed"] for written in later] == [12, 13]
    assert not (folder / "run" / "resolved.3.yaml").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "RECIPE: expected a file, or the name of a shipped recipe, got nothing."),
        (["seed=1"], "no recipe is named 'seed=1'."),
        (["--resume", "."], "resolved.yaml: expected a recipe that can be read, got no such file."),
        (["--resume", "run", "sed=1"], "override 'sed=1': trainer.options.sed: expected a known key, got 'sed'."),
        (["--resume", "broken"], "broken/resolved.yaml: expected the keys 'recipe' and 'file', as a run writes them"),
        (["--resume", "gone"], "gone/resolved.yaml:"),
    ],
)
def test_mistakes(folder: Path, words: list[str], sentence: str) -> None:
    for name, text in (("broken", "[]"), ("gone", (folder / "run/resolved.yaml").read_text())):
        (folder / name).mkdir()
        (folder / name / "resolved.yaml").write_text(text.replace(str(folder), str(folder / "nowhere")))
    code, error = train(*words)
    assert code == 2
    assert error.startswith(sentence)


def test_half_of_a_launchers_variables(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    assert train("recipe.yaml") == (
        2,
        "WORLD_SIZE: expected a whole number from 0 on, got nothing. "
        "The launcher sets it; unset what an earlier one left in the environment.\n",
    )


def test_a_batch_script_without_srun_says_that_it_is_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SLURM_JOB_ID": "1", "SLURM_PROCID": "0", "SLURM_NTASKS": "8"}.items():
        monkeypatch.setenv(name, value)
    code, error = train("recipe.yaml")
    assert (code, error.partition(":")[0]) == (
        0,
        "Slurm's allocation has 8 tasks, but srun did not start this process",
    )


def test_deepspeeds_own_option_is_taken(folder: Path) -> None:
    result = CliRunner().invoke(app, ["--local_rank=1", "train", "recipe.yaml", "--out", "again"])
    assert result.exit_code == 0
    assert "local_rank" not in CliRunner().invoke(app, ["--help"]).output


def test_a_second_run_goes_beside_the_first_and_says_so(folder: Path) -> None:
    assert train("recipe.yaml") == (0, "")
    first = (folder / "runs/recipe/resolved.yaml").read_bytes()
    code, said = train("recipe.yaml", "seed=12")
    assert code == 0
    assert " ".join(said.split()).endswith("an earlier run, which stays: this one writes to runs/recipe-2.")
    assert (folder / "runs/recipe/resolved.yaml").read_bytes() == first
    assert "seed: 12" in (folder / "runs/recipe-2/resolved.yaml").read_text()


def test_a_run_in_progress_is_left_alone(folder: Path) -> None:
    """By whoever goes on from it, whoever begins in its folder, and whoever does so from Python."""
    before = sorted(path.name for path in (folder / "run").iterdir())
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDER, "run", "new"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    refused = f"another training is at work in this folder (process {other.pid}, host {socket.gethostname()})."
    (code, said), (_, new) = train("--resume", "run", "seed=12"), train("recipe.yaml", "--out", "new")
    assert (code, said[:5], refused in said) == (2, "run: ", True)
    assert refused in new
    with pytest.raises(InputError, match=re.escape(refused)):
        train_recipe(load_recipe("recipe.yaml"), Path("new"))
    assert sorted(path.name for path in (folder / "run").iterdir()) == [".lock", *before]
    other.kill()
    other.communicate()
    assert train("--resume", "run", "seed=12") == (0, "")


HOLDER = """
import sys
from contextlib import ExitStack
from pathlib import Path
from regionloss.disk import guarded
with ExitStack() as held:
    for folder in sys.argv[1:]:
        held.enter_context(guarded(Path(folder), "training"))
    print("held", flush=True)
    sys.stdin.read()
"""


def test_what_a_run_that_was_killed_at_once_leaves_is_no_run(folder: Path) -> None:
    """A killed process removes nothing: its lock, which nobody holds any more, stands in no one's way."""
    for place in ("killed", "runs/recipe"):
        (folder / place).mkdir(parents=True)
        (folder / place / ".lock").write_text("process 1, host x")
    assert train("recipe.yaml", "--out", "killed") == (0, "")
    assert train("recipe.yaml") == (0, "")
    assert all((folder / place / "received.txt").exists() for place in ("killed", "runs/recipe"))
