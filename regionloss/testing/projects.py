"""A plugin's project, tried where it lies: known to every command as if it had been installed."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError, expected
from ..hooks.catalogue import forget
from ..hooks.manager import GROUP


@dataclass(frozen=True)
class PluginProject:
    """A folder with the `pyproject.toml` of a plugin.

    Args:
        folder: The folder.
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
    def source(self) -> Path:
        """Where its packages lie: `src`, or the folder itself."""
        return self.folder / "src" if (self.folder / "src").is_dir() else self.folder


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
    packages = {module.split(".")[0] for module in project.entry_points.values()}
    path, only = list(sys.path), os.environ.get("REGIONLOSS_PLUGINS")
    with tempfile.TemporaryDirectory() as place:
        write_metadata(project, Path(place))
        sys.path[:0] = [str(project.source), place]
        displaced = _displace(packages, project.source)
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
