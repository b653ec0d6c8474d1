"""What `regionloss plugin check` looks at, in order: metadata, documents, import, hooks, then each thing registered."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

from regionloss.errors import InputError, expected, in_one_line
from regionloss.hooks.catalogue import Catalogue, build_catalogue
from regionloss.hooks.manager import file_plugin, import_file, installed_plugins
from regionloss.hooks.records import Plugin, Registered
from regionloss.testing.check.dependencies import dependency_findings
from regionloss.testing.check.findings import ADVICE, MISSING, OK, UNTRIED, Finding
from regionloss.testing.check.hooks import hook_findings, import_findings
from regionloss.testing.check.metadata import (
    OURS,
    entry_point_finding,
    installed_files,
    installed_findings,
    installed_metadata,
    metadata_findings,
    with_all_extras,
)
from regionloss.testing.check.registrations import registered_findings
from regionloss.testing.check.texts import readme_findings, replace_findings, said_findings, test_findings
from regionloss.testing.projects import PluginProject, as_installed, mapping, read_project


def findings_of(path: Path) -> Iterator[Finding]:
    """Yield what a plugin has and lacks.

    Args:
        path: The folder of its project, installed or not; its one Python file; or the name of an installed plugin.

    Raises:
        InputError: There is no such thing.
    """
    installed = [(plugin, module) for plugin, module in installed_plugins() if plugin.name == str(path)]
    if path.is_file():
        if path.suffix != ".py":
            raise InputError(expected(str(path), "a plugin's folder, or a file that ends in .py", "another file"))
        yield from _of_file(path.resolve())
    elif installed and not (path / "pyproject.toml").is_file():  # a folder of that name may be anything
        for plugin, module in installed:
            yield from _of_installed(plugin, module)
    elif path.exists():
        yield from _of_project(read_project(path))
    else:
        names = ", ".join(sorted({plugin.name for plugin, _ in installed_plugins()}))
        wanted = "a plugin's folder, its one Python file, or the name of an installed one"
        raise InputError(expected(str(path), wanted, "nothing there", f"Installed: {names or 'none'}."))


def _of_installed(plugin: Plugin, module: str) -> Iterator[Finding]:
    yield from installed_findings(plugin.distribution)
    if plugin.distribution != OURS:
        package = module.partition(".")[0]
        files, everything = installed_files(package), with_all_extras(plugin.distribution)
        yield from dependency_findings(files, [package], [everything], {})
    records: list[Registered] = []
    yield from _of_module(plugin, module, None, records)
    if plugin.distribution != OURS:  # whose README is that of the whole project
        readme = installed_metadata(plugin.distribution).get("readme") or ""
        yield from said_findings("README", readme, records)


def _of_project(project: PluginProject) -> Iterator[Finding]:
    yield from metadata_findings(project)
    yield from _of_imports(project)
    yield from replace_findings(project)
    records: list[Registered] = []
    with as_installed(project.folder):
        for name, module in project.entry_points.items():
            finding = entry_point_finding(project, name, module)
            yield finding
            if finding.state == OK:
                plugin = Plugin(name, project.distribution, project.version)
                yield from _of_module(plugin, module, project.folder, records)
    yield from readme_findings(project, records)
    yield from test_findings(project, records)


def _of_imports(project: PluginProject) -> Iterator[Finding]:
    stated, extras = project.metadata.get("dependencies"), mapping(project.metadata.get("optional-dependencies"))
    if "dependencies" in (project.metadata.get("dynamic") or ()):
        sentence = "they are dynamic, and were not compared with the imports. Check the installed plugin, by its name."
        yield Finding(UNTRIED, "dependencies", sentence)
    elif isinstance(stated, list) and all(isinstance(extra, list) for extra in extras.values()):
        beside = [path.stem for path in project.source.iterdir()] if project.source.is_dir() else []
        yield from dependency_findings(project.files, [*project.packages, *beside], stated, extras)


def _of_file(path: Path) -> Iterator[Finding]:
    yield from _of_module(file_plugin(path), str(path), path, [])
    advice = "A recipe names it by its path; 'regionloss plugin new NAME' makes a package that others can install."
    yield Finding(ADVICE, "package", advice)


def _of_module(plugin: Plugin, module: str, place: Path | None, records: list[Registered]) -> Iterator[Finding]:
    """Look at one module with hooks; what its hooks register is added to `records`."""
    try:
        loaded = import_file(plugin.file) if plugin.file else importlib.import_module(module)
    # A plugin is a stranger's code, and may raise anything; so may its hooks and classes.
    except (Exception, SystemExit) as error:
        yield Finding(MISSING, "import", f"{module} cannot be imported: {in_one_line(error)}. Mend that first.")
        return
    yield import_findings(plugin, place)
    own: list[Registered] = []
    yield from hook_findings(plugin, loaded, own)
    records += own
    known = _catalogue_with(plugin, own)
    yield from registered_findings(known, plugin, own, place / "tests" if place and not plugin.file else None)


def _catalogue_with(plugin: Plugin, own: list[Registered]) -> Catalogue:
    """What is installed, with what the plugin registers, though another of its hooks may be broken."""
    known = build_catalogue()
    others = [r for r in known.records if (r.plugin, r.distribution) != (plugin.name, plugin.distribution)]
    plugins = tuple(dict.fromkeys((*known.plugins, plugin)))
    return Catalogue(plugins, known.broken, known.blocked, (*others, *own))
