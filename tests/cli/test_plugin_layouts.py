"""`regionloss plugin check` finds a project's packages wherever builds find them, and installed plugins by name."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from regionloss.testing.check.check import findings_of
from regionloss.testing.check.findings import ADVICE, MISSING, OK, Finding
from regionloss.testing.projects import as_installed, read_project
from regionloss.testing.template import write_plugin
from tests.disk_plugins import write_distribution

PACKAGE = "regionloss_signs"
HATCH = 'packages = ["src/regionloss_signs"]'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A new plugin, in which nothing is missing."""
    return write_plugin("signs", tmp_path)[0]


def moved(project: Path, to: str, table: str = "") -> Path:
    """Move the project's package to another folder, and write that into the build's table."""
    (project / to).mkdir(parents=True, exist_ok=True)
    shutil.move(project / "src" / PACKAGE, project / to / PACKAGE)
    (project / "src").rmdir()
    path = project / "pyproject.toml"
    path.write_text(path.read_text().replace(HATCH, table or f'packages = ["{to}/{PACKAGE}"]'))
    return project


def clutter(project: Path) -> None:
    """Leave environments, builds and hidden folders about, with the template's mark and broken code in them."""
    (project / "env").mkdir()
    (project / "env" / "pyvenv.cfg").write_text("")
    for place in (".venv/lib/site-packages/other", "env/lib/other", "build/lib/other", ".nox/other"):
        (project / place).mkdir(parents=True)
        (project / place / "thing.py").write_text("# REPLACE: not ours\nimport (")


def module_of(place: Path) -> str:
    return str(place / PACKAGE / "plugin.py")


@pytest.mark.parametrize(
    ("to", "table"),
    [
        (".", ""),
        ("python", ""),
        ("lib/deep/inside", ""),
        ("lib/deep/inside", 'x = 1\n[tool.setuptools]\npackage-dir = {"" = "lib/deep/inside"}'),
        ("lib/deep/inside", 'x = 1\n[tool.setuptools.packages.find]\nwhere = ["lib/deep/inside"]'),
        ("plain", "x = 1"),
    ],
)
@pytest.mark.parametrize("beside", ["", "src"])
def test_packages_are_found_where_they_lie(project: Path, to: str, table: str, beside: str) -> None:
    """Also beside a folder `src` that holds something else."""
    moved(project, to, table)
    clutter(project)
    if beside:
        (project / beside / "unrelated").mkdir(parents=True)
    assert read_project(project).source == (project / to).resolve()
    found = list(findings_of(project))
    assert not [f for f in found if f.state == MISSING]
    (template,) = (f.sentence for f in found if f.part == "template")
    assert f"{PACKAGE}/detector.py:" in template
    assert "other" not in template
    with as_installed(project):
        import regionloss_signs.plugin as module  # type: ignore[import-not-found]

        assert module.__file__ == module_of((project / to).resolve())


def test_a_misspelled_package_is_guessed_from_the_projects_own(project: Path) -> None:
    moved(project, ".")
    clutter(project)
    (project / "src" / "unrelated").mkdir(parents=True)
    path = project / "pyproject.toml"
    path.write_text(path.read_text().replace(f'"{PACKAGE}.plugin"', '"regionloss_sings.plugin"'))
    (wrong,) = (f for f in findings_of(project) if f.part == "entry point 'signs'")
    assert "Did you mean 'regionloss_signs.plugin'?" in wrong.sentence
    assert "other.thing" not in wrong.sentence


def test_a_module_of_an_environment_in_the_project_is_not_the_projects(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved(project, ".")
    packages = project / ".venv" / "lib" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "strange.py").write_text("")
    monkeypatch.syspath_prepend(str(packages))
    path = project / "pyproject.toml"
    path.write_text(path.read_text().replace(f'"{PACKAGE}.plugin"', '"strange"'))
    (wrong,) = (f for f in findings_of(project) if f.part == "entry point 'signs'")
    assert wrong.sentence.startswith("'strange' is not part of this project, but ")


def test_packages_elsewhere_are_found_through_what_is_installed(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an editable installation leaves it: metadata in one place, the package in another, neither in the project."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.move(project / "src" / PACKAGE, elsewhere / PACKAGE)
    monkeypatch.syspath_prepend(str(elsewhere))
    assert read_project(project).source == project / "src"
    info = elsewhere / "regionloss_signs-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: regionloss-signs\nVersion: 0.1.0\n")
    assert read_project(project).source == elsewhere
    assert not [f for f in findings_of(project) if f.state == MISSING]


README = "# Signs\n\nA detector `colour`, a backbone and a term `edges`. Licence of all: MIT.\n"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The metadata of the installed plugin `signs`."""
    project = write_plugin("signs", tmp_path / "made")[0]
    site = tmp_path / "site"
    shutil.copytree(project / "src", site)
    info = site / "regionloss_signs-0.1.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text(f"[regionloss]\nsigns = {PACKAGE}.plugin\n")
    head = "Metadata-Version: 2.4\nName: regionloss-signs\nVersion: 0.1.0\nSummary: Signs.\nAuthor: A. Nother\n"
    rest = "License-Expression: MIT\nRequires-Python: >=3.11\nRequires-Dist: regionloss>=0.1\n"
    (info / "METADATA").write_text(f"{head}{rest}Description-Content-Type: text/markdown\n\n{README}")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.chdir(tmp_path)
    return info / "METADATA"


@pytest.mark.parametrize("folder", [False, True])
def test_an_installed_plugin_is_found_though_a_folder_has_its_name(
    installed: Path, tmp_path: Path, folder: bool
) -> None:
    """Pictures of hands lie in a folder `hands`, more often than not."""
    if folder:
        (tmp_path / "signs").mkdir()
        (tmp_path / "signs" / "0.png").write_bytes(b"")
    found = list(findings_of(Path("signs")))
    assert not [f for f in found if f.state in (MISSING, ADVICE)]
    assert Finding(OK, "metadata", "regionloss-signs 0.1.0, MIT") in found
    assert Finding(OK, "README", "it mentions licences, and every component and term") in found
    assert {"import", "hooks", "detector 'colour'", "backbone 'edges'", "term 'edges'"} <= {f.part for f in found}


@pytest.mark.parametrize(
    ("old", "new", "part", "sentence"),
    [
        ("License-Expression: MIT\n", "", "metadata", "'license' is not stated. Write license = "),
        ("Summary: Signs.\n", "", "metadata", "'description' is not stated."),
        ("Requires-Dist: regionloss>=0.1", "Requires-Dist: torch", "metadata", "regionloss is not among the"),
        ("`colour`", "", "README", "it does not mention colour."),
        ("Licence of all: MIT.", "", "README", "it says nothing of licences."),
        (README, "", "README", "there is none, or it is empty."),
    ],
)  # fmt: skip
def test_what_installed_metadata_lack_has_a_sentence(
    installed: Path, old: str, new: str, part: str, sentence: str
) -> None:
    text = installed.read_text()
    assert old in text
    installed.write_text(text.replace(old, new))
    wrong = [f for f in findings_of(Path("signs")) if f.state == MISSING]
    assert [f.part for f in wrong] == [part]
    assert sentence in wrong[0].sentence


def test_a_folder_without_a_plugin_is_still_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from regionloss.errors import InputError

    write_distribution(tmp_path, "other")
    (tmp_path / "signs").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"signs: expected a folder with a pyproject\.toml, got one without"):
        list(findings_of(Path("signs")))
