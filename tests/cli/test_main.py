"""The command line as a user types it: help, versions, broken plugins, errors as sentences."""

from __future__ import annotations

import importlib
import inspect
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from regionloss.cli.components import COLUMNS, term_rows
from regionloss.cli.main import COMMANDS, app
from regionloss.console.sentences import extra_of
from regionloss.console.tables import print_table
from regionloss.data.annotate.job import Job, Report
from regionloss.data.annotate.progress import Following
from regionloss.hooks.catalogue import build_catalogue, catalogue
from tests.disk_plugins import write_distribution


def typed(*words: str, site: Path | None = None, folder: Path | None = None, **environment: str) -> object:
    """Run `regionloss WORDS` in a process of its own, with the distributions in `site`."""
    variables = {**os.environ, **environment, "COLUMNS": "200"}
    if site is not None:
        variables["PYTHONPATH"] = str(site)
    command = [sys.executable, "-m", "regionloss", *words]
    return subprocess.run(command, capture_output=True, text=True, env=variables, cwd=folder)


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["plugins"], ["components"], ["weights", "list"]])
def test_what_needs_no_torch_imports_none(words: list[str]) -> None:
    program = (
        "import sys\nfrom regionloss.cli.main import run\n"
        f"sys.argv = ['regionloss', *{words!r}]\n"
        "try:\n    run()\nexcept SystemExit as left:\n"
        "    print('code', left.code, 'torch' in sys.modules, file=sys.stderr)\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stderr.splitlines()[-1] == "code 0 False", result.stderr


def test_help_lists_every_command_with_its_own_line() -> None:
    result = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    for name, (target, summary) in COMMANDS.items():
        assert name in result.output
        assert summary in result.output
        module, attribute = target.split(":")
        found = getattr(importlib.import_module(module), attribute)
        said = inspect.getdoc(found).splitlines()[0] if inspect.isfunction(found) else found.info.help
        assert said == summary


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help(name: str) -> None:
    result = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert f"Usage: root {name}" in result.output or name in result.output


def test_the_version_is_that_of_the_distribution() -> None:
    result = typed("--version")
    assert (result.returncode, result.stdout) == (0, f"regionloss {importlib.metadata.version('regionloss')}\n")


def test_a_misspelled_command() -> None:
    result = CliRunner().invoke(app, ["trian"])
    assert result.exit_code == 2
    assert "Did you mean 'train'?" in result.stderr


COMMAND = """
import typer
from regionloss.hooks import hookimpl

@hookimpl
def register_commands(register):
    register("greet", "{module}:greet", summary="Greet somebody.")
    register("group", "{module}:group", summary="Several.")
    register("train", "{module}:greet", summary="Hides nothing.")
    register("lost", "nowhere_at_all:app", summary="Not there.")

def greet(name: str, loud: bool = False) -> None:
    typer.echo(f"Hello {name}{'!' if loud else '.'}")

group = typer.Typer()

@group.command()
def one() -> None:
    typer.echo("first")

@group.command()
def two() -> None:
    typer.echo("second")
"""


def test_plugins_bring_commands(tmp_path: Path) -> None:
    write_distribution(tmp_path, "polite", COMMAND)
    setting = {"site": tmp_path, "REGIONLOSS_PLUGINS": "polite"}
    assert "Greet somebody." in typed("--help", **setting).stdout
    assert typed("greet", "you", "--loud", **setting).stdout == "Hello you!\n"
    assert typed("group", "two", **setting).stdout == "second\n"
    assert typed("polite/train", "you", **setting).stdout == "Hello you.\n"
    assert "Run a recipe's trainer." in typed("train", "--help", **setting).stdout
    lost = typed("lost", **setting)
    assert lost.returncode == 2
    assert lost.stderr.startswith("command 'polite/lost' (regionloss-polite 1.0) cannot be imported:")


def test_every_command_warns_of_a_broken_plugin_and_works(tmp_path: Path) -> None:
    write_distribution(tmp_path, "bad", "import not_there_at_all")
    write_distribution(tmp_path, "healthy")
    result = typed("components", "distance", site=tmp_path, REGIONLOSS_PLUGINS="bad,healthy")
    assert result.returncode == 0
    assert "healthy/plain" in result.stdout
    assert result.stderr == (
        "warning: plugin 'bad' (regionloss-bad 1.0) is broken: "
        "ModuleNotFoundError: No module named 'not_there_at_all'.\n"
    )


def test_every_command_warns_of_a_clash(tmp_path: Path) -> None:
    for name in ("first-one", "second-one"):
        write_distribution(tmp_path, "same", name=name)
    result = typed("plugins", site=tmp_path, REGIONLOSS_PLUGINS="same")
    assert "warning: plugin 'same' comes from two distributions: first-one" in result.stderr


def test_traceback_shows_where_an_error_came_from(tmp_path: Path) -> None:
    quiet, loud = typed("check", "absent.yaml"), typed("--traceback", "check", "absent.yaml")
    assert quiet.returncode == 2
    assert quiet.stderr.startswith("absent.yaml: expected a recipe, got no such file.")
    assert "Traceback" not in quiet.stderr
    assert loud.returncode == 1
    assert "Traceback" in loud.stderr


def test_left_out_plugins_are_listed(tmp_path: Path) -> None:
    for plugin in ("one", "two"):
        write_distribution(tmp_path, plugin)
    lines = typed("plugins", site=tmp_path, REGIONLOSS_PLUGINS="one").stdout.splitlines()
    states = {line.split()[0]: line for line in lines if line}
    assert "1 distance" in states["one"]
    assert "left out" in states["two"]


def test_components_of_one_kind_and_of_an_unknown_one() -> None:
    runner = CliRunner()
    result = runner.invoke(app, ["components", "extractors"])
    assert result.exit_code == 0
    for component in catalogue().components("extractor"):
        assert component.canonical in result.output
        assert component.licence in result.output
    assert "core/area" not in result.output
    unknown = runner.invoke(app, ["components", "extractr"])
    assert unknown.exit_code == 2
    assert "there is no kind of component 'extractr'. Did you mean 'extractor'?" in unknown.stderr


def test_a_package_of_an_extra_that_is_missing_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "a.regions.parquet").touch()
    result = CliRunner().invoke(app, ["regions", "stats", str(tmp_path / "a.regions.parquet")])
    assert result.exit_code == 2
    wanted = "expected the package pyarrow, got none. Install it: pip install 'regionloss[data]'."
    assert result.output.strip().endswith(wanted)
    names = ("pyarrow.parquet", "matplotlib", "ray", "pytest", "nonsense")
    assert [extra_of(name) for name in names] == ["data", "evaluate", "ray", "", ""]


@pytest.mark.parametrize("width", [80, 30])
def test_names_stay_whole_on_a_narrow_terminal_and_nothing_is_cut(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("regionloss.console.tables.console", lambda: Console(width=width))
    rows = term_rows(build_catalogue([]))
    print_table("terms", COLUMNS, rows)
    lines = capsys.readouterr().out.splitlines()
    for name, *others in rows:
        assert any(line.startswith(f"{name} ") for line in lines) == (width == 80)
        for cell in (name, *others):  # folded or not, every letter is there
            assert not Counter(cell.replace(" ", "")) - Counter("".join(lines))


def test_one_shard_and_one_image_are_not_spoken_of_as_several() -> None:
    for number, said in ((1, "0 of 1 shard done"), (3, "0 of 3 shards done")):
        assert Following(number, number).stopped() == f"Stopped: {said}. The same command goes on from there."
    following = Following(1, 1)
    following.take(Report(Job("a", "b"), images=1, rows=1))
    assert following.speed().startswith("1 image, ")


@pytest.mark.parametrize(("set_by_user", "wanted"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")])
def test_threads_of_commands_do_not_spin_while_they_wait(set_by_user: dict[str, str], wanted: str) -> None:
    """It must be said before torch is there, and what the user says holds."""
    program = (
        "import os, sys\nfrom regionloss.cli import main\n"
        "main.app = lambda prog_name: print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)\nmain.run()"
    )
    clean = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=clean | set_by_user)
    assert result.stdout.split() == [wanted, "False"]
