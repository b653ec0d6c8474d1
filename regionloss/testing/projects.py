"""A plugin's project, tried where it lies: known to every command as if it had been installed."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.metadata
import importlib.util
import itertools
import os
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regionloss.errors import InputError, expected
from regionloss.hooks.catalogue import forget
from regionloss.hooks.manager import GROUP

#: Folders of a project in which no package of it lies; besides, hidden ones and environments.
NOT_SOURCES = ("build", "dist", "docs", "node_modules", "site-packages", "test", "tests", "__pycache__")


@dataclass(frozen=True)
class PluginProject:
    """A folder with the `pyproject.toml` of a plugin.

    Args:
        folder: Folder of the project.
        table: What `pyproject.toml` holds.
    """

    folder: Path
    table: dict[str, Any]

    @property
    def metadata(self) -> dict[str, Any]:
        """The table `[project]`."""
        return mapping(self.table.get("project"))

    @property
    def distribution(self) -> str:
        """Name of the distribution; that of the folder where none is stated."""
        return str(self.metadata.get("name") or self.folder.resolve().name)

    @property
    def version(self) -> str:
        """Version as stated; 0 where none is."""
        return str(self.metadata.get("version") or "0")

    @property
    def entry_points(self) -> dict[str, str]:
        """Plugin -> module, as `[project.entry-points.regionloss]` has them."""
        group = mapping(mapping(self.metadata.get("entry-points")).get(GROUP))
        return {str(name): str(module) for name, module in group.items()}

    @property
    def packages(self) -> list[str]:
        """The packages (or single modules) at the top that its entry points name."""
        return sorted({module.split(".")[0] for module in self.entry_points.values()})

    @functools.cached_property
    def source(self) -> Path:
        """Where its packages lie: `src`, the folder itself, one that the build's table names, another, or elsewhere.

        Elsewhere is where the project is installed from. `src`, or the folder, where no package is found.
        """
        for package in self.packages:
            for place in _places(self):
                if (place / package).is_dir() or (place / f"{package}.py").is_file():
                    return place.resolve()
            if elsewhere := _installed_from(self.distribution, package):
                return elsewhere
        return self.folder / "src" if (self.folder / "src").is_dir() else self.folder

    @property
    def files(self) -> list[Path]:
        """The Python files of its packages."""
        modules = [self.source / f"{package}.py" for package in self.packages]
        folders = [python_files(self.source / package) for package in self.packages]
        return [*filter(Path.is_file, modules), *itertools.chain(*folders)]

    def holds(self, file: Path) -> bool:
        """Return whether a module's file is one of its packages'."""
        file = file.resolve()
        inside = file.is_relative_to(self.source)
        return inside and file.relative_to(self.source).parts[0].removesuffix(".py") in self.packages


def _places(project: PluginProject) -> Iterator[Path]:
    """Yield the folders in which packages may lie, the likeliest first."""
    folder = project.folder
    yield from (folder / "src", folder)
    for text in _texts(mapping(project.table.get("tool"))):
        if os.path.isdir(folder / text):  # a table may hold any text; this one never raises
            named = (folder / text).resolve()
            yield from (place for place in (named, named.parent) if _may_hold(place, folder))
    yield from (place for place in sorted(folder.iterdir()) if place.is_dir() and _may_hold(place, folder))


def _may_hold(place: Path, folder: Path) -> bool:
    between = [place, *place.parents][: len(place.relative_to(folder).parts)] if place.is_relative_to(folder) else None
    return between is not None and not any(_passed_over(one) for one in between)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def _installed_from(distribution: str, package: str) -> Path | None:
    try:
        importlib.metadata.distribution(distribution)
        spec = importlib.util.find_spec(package)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return None
    places = [*(spec.submodule_search_locations or []), spec.origin or ""] if spec else [""]
    return Path(places[0]).resolve().parent if places[0] else None


def _passed_over(folder: Path) -> bool:
    hidden = folder.name.startswith(".") or folder.name in NOT_SOURCES
    return hidden or (folder / "pyvenv.cfg").is_file()


def python_files(folder: Path) -> Iterator[Path]:
    """Yield the Python files below a folder in order, but for those of environments, builds, tests and documents."""
    for entry in sorted(folder.iterdir()) if folder.is_dir() else []:
        if entry.is_dir() and not entry.is_symlink() and not _passed_over(entry):
            yield from python_files(entry)
        elif entry.suffix == ".py" and entry.is_file():
            yield entry


def mapping(value: object) -> dict[str, Any]:
    """Return `value` if it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else {}


def read_project(folder: Path) -> PluginProject:
    """Read the `pyproject.toml` in `folder`.

    Raises:
        InputError: There is none, or it is no TOML.
    """
    path = folder / "pyproject.toml"
    if not path.is_file():
        advice = "Name a plugin's folder or its one file, or write one with 'regionloss plugin new NAME'."
        raise InputError(expected(str(folder), "a folder with a pyproject.toml", "one without", advice))
    try:
        return PluginProject(folder.resolve(), tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(expected(str(path), "TOML", str(error), "Mend that line.")) from error


@contextlib.contextmanager
def as_installed(folder: str | Path) -> Iterator[PluginProject]:
    """Let `catalogue()` find the plugins of a project that is not installed (or is, in another version).

    Args:
        folder: The folder with its `pyproject.toml`.

    Example (a `tests/conftest.py`):

        @pytest.fixture(scope="session", autouse=True)
        def plugin():
            with as_installed(Path(__file__).parents[1]):
                yield
    """
    project = read_project(Path(folder))
    packages, source = set(project.packages), project.source
    path, only = list(sys.path), os.environ.get("REGIONLOSS_PLUGINS")
    with tempfile.TemporaryDirectory() as place:
        write_metadata(project, Path(place))
        sys.path[:0] = [str(source), place]
        displaced = _displace(packages, source)
        before = set(sys.modules)
        if only is not None:
            os.environ["REGIONLOSS_PLUGINS"] = ",".join([only, *project.entry_points])
        importlib.invalidate_caches()
        forget()
        try:
            yield project
        finally:
            sys.path[:] = path
            if only is not None:
                os.environ["REGIONLOSS_PLUGINS"] = only
            for name in [n for n in sys.modules if n.split(".")[0] in packages and n not in before]:
                del sys.modules[name]
            sys.modules.update(displaced)
            forget()


def _displace(packages: set[str], source: Path) -> dict[str, Any]:
    """Take modules of these names out of `sys.modules` that came from another place than `source`."""
    strangers = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", [])), "")
        if name.split(".")[0] in packages and not Path(file).resolve().is_relative_to(source):
            strangers[name] = sys.modules.pop(name)
    return strangers


def write_metadata(project: PluginProject, place: Path) -> None:
    """Write to `place` what an installer leaves of a distribution: its name, version and entry points."""
    info = place / f"{project.distribution.replace('-', '_')}-{project.version}.dist-info"
    info.mkdir()
    head = f"Metadata-Version: 2.1\nName: {project.distribution}\nVersion: {project.version}\n"
    (info / "METADATA").write_text(head, encoding="utf-8")
    lines = [f"{name} = {module}" for name, module in project.entry_points.items()]
    (info / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines, ""]), encoding="utf-8")
