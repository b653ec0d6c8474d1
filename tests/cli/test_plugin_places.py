"""`regionloss plugin check` of what lies anywhere: installed, one file, a project beside another version of itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from regionloss.cli.main import app
from regionloss.hooks.catalogue import catalogue
from regionloss.testing.check.check import findings_of
from regionloss.testing.check.findings import MISSING, OK, Finding
from regionloss.testing.projects import as_installed
from regionloss.testing.template import write_plugin
from tests.disk_plugins import HEALTHY, write_distribution


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A new plugin, in which nothing is missing."""
    return write_plugin("signs", tmp_path)[0]


def missing(path: Path) -> list[Finding]:
    return [finding for finding in findings_of(path) if finding.state == MISSING]


def test_an_installed_plugin_can_be_checked_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_distribution(tmp_path, "signs", HEALTHY)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = list(findings_of(Path("signs")))
    assert Finding(OK, "hooks", "register_distances") in found
    lacking = "\n".join(finding.sentence for finding in found if finding.state == MISSING)
    # `Plain` of that module cannot be called, and says nothing of itself.
    assert "has no docstring" in lacking
    assert "TypeError: 'Plain' object is not callable" in lacking


def test_one_file_can_be_checked(tmp_path: Path) -> None:
    path = tmp_path / "areas.py"
    path.write_text(
        '''
from regionloss import hookimpl


@hookimpl
def register_area_weightings(register):
    register("power", "areas:Power", licence="CC0-1.0", summary="area to a power")


class Power:
    """Area to a power."""

    def __init__(self, power: float = 0.5):
        self.power = power

    def __call__(self, regions):
        return regions.areas**self.power
'''
    )
    assert not missing(path)
    path.write_text(path.read_text().replace("regions.areas**self.power", "-regions.areas"))
    (wrong,) = missing(path)
    assert wrong.part == "weighting 'power'"
    assert "Finite, not negative" in wrong.sentence


def test_an_installed_version_is_left_alone(project: Path, tmp_path: Path) -> None:
    """What was imported from elsewhere under the same name is there again afterwards."""
    import sys

    other = write_plugin("signs", tmp_path / "other")[0]
    with as_installed(other):
        import regionloss_signs.plugin as installed  # type: ignore[import-not-found]

        with as_installed(project) as found:
            assert catalogue().term("signs").distribution == "regionloss-signs"
            import regionloss_signs.plugin as ours  # type: ignore[import-not-found]

            assert Path(ours.__file__).is_relative_to(found.source)
        assert sys.modules["regionloss_signs.plugin"] is installed
    assert not [plugin for plugin in catalogue().plugins if plugin.name == "signs"]


def test_plugins_that_are_left_out_do_not_hide_the_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGIONLOSS_PLUGINS", "")
    with as_installed(project):
        assert [plugin.name for plugin in catalogue().plugins] == ["core", "signs"]
    assert [plugin.name for plugin in catalogue().plugins] == ["core"]
    assert not missing(project)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nowhere", "or the name of an installed one, got nothing there. Installed: "),
        (".", "expected a folder with a pyproject.toml, got one without. Name a plugin's folder"),
        ("notes.txt", "got another file."),
        ("bad", "expected TOML, got "),
    ],
)
def test_what_is_no_plugin_is_a_sentence(tmp_path: Path, name: str, sentence: str) -> None:
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "pyproject.toml").write_text("[project")
    result = CliRunner().invoke(app, ["plugin", "check", str(tmp_path / name)])
    assert result.exit_code == 2
    assert sentence in result.stderr
