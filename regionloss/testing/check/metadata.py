"""What a plugin's `pyproject.toml` says, and has to say before anybody can install it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from regionloss.errors import did_you_mean
from regionloss.hooks.registrar import NAME
from regionloss.testing.check.findings import ADVICE, MISSING, OK, Finding
from regionloss.testing.projects import PluginProject, python_files

PART = "pyproject.toml"
OURS = "regionloss"
#: Key of [project] -> an example of it.
REQUIRED = {
    "name": '"regionloss-hands"',
    "version": '"0.1.0"',
    "description": '"Hands for regionloss."',
    "readme": '"README.md"',
    "requires-python": '">=3.11"',
    "license": '"Apache-2.0"',
    "dependencies": '["regionloss>=0.1"]',
}


def metadata_findings(project: PluginProject) -> Iterator[Finding]:
    """Yield what the metadata lacks, or one line that it lacks nothing."""
    stated = project.metadata
    if not stated:
        yield Finding(MISSING, PART, "there is no table [project]. Write one, with name, version, license and so on.")
    if "build-system" not in project.table:
        advice = "Write requires = ['hatchling'], build-backend = 'hatchling.build'."
        yield Finding(MISSING, PART, f"there is no table [build-system]. {advice}")
    yield from stated_findings(PART, stated)
    if not project.entry_points:
        advice = 'Write [project.entry-points.regionloss] and hands = "regionloss_hands.plugin" below it.'
        yield Finding(MISSING, "entry point", f"regionloss cannot find the plugin. {advice}")


def installed_findings(distribution: str) -> Iterator[Finding]:
    """Yield what the metadata of an installed distribution lacks, or one line that it lacks nothing."""
    stated = installed_metadata(distribution)
    yield from stated_findings("metadata", stated and {**stated, "readme": "README"})  # whose text is looked at apart


def installed_metadata(distribution: str) -> dict[str, Any]:
    """Return the metadata of an installed distribution under the keys of `[project]`; `readme` is its text."""
    try:
        found = importlib.metadata.metadata(distribution).json
    except importlib.metadata.PackageNotFoundError:
        return {}
    words = [word for word in found.get("classifier", []) if word.startswith("License :: ")]
    licence = found.get("license_expression") or found.get("license") or " ".join(words)
    return {
        "name": found.get("name"),
        "version": found.get("version"),
        "description": found.get("summary"),
        "readme": found.get("description"),
        "requires-python": found.get("requires_python"),
        "license": str(licence).partition("\n")[0],
        "dependencies": found.get("requires_dist"),
        "authors": found.get("author") or found.get("author_email"),
    }


def with_all_extras(distribution: str) -> str:
    """Return the requirement of an installed distribution and of all that its extras bring."""
    try:
        extras = importlib.metadata.metadata(distribution).get_all("Provides-Extra") or []
    except importlib.metadata.PackageNotFoundError:
        extras = []
    return f"{distribution}[{','.join(extras)}]"


def installed_files(package: str) -> list[Path]:
    """Return the Python files of an installed package, or its one file."""
    spec = importlib.util.find_spec(package)
    folders = [Path(place) for place in (spec and spec.submodule_search_locations) or ()]
    single = [Path(spec.origin)] if spec and spec.origin and not folders else []
    return [*single, *(file for folder in folders for file in python_files(folder))]


def stated_findings(part: str, stated: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what metadata under the keys of `[project]` lack; `part` is how the lines call them."""
    wrong = list(_wrong(stated)) if stated else []
    yield from (Finding(MISSING, part, sentence) for sentence in wrong)
    if stated and not wrong:
        yield Finding(OK, part, f"{stated.get('name')} {stated.get('version', '(dynamic)')}, {stated.get('license')}")
    if not stated.get("authors"):
        yield Finding(ADVICE, part, "nobody is named. Write authors = [{ name = ..., email = ... }].")


def _wrong(stated: Mapping[str, Any]) -> Iterator[str]:
    dynamic = stated.get("dynamic") or []
    for key, example in REQUIRED.items():
        if not stated.get(key) and key not in dynamic and not (key == "dependencies" and stated.get("name") == OURS):
            yield f"'{key}' is not stated. Write {key} = {example}."
    needs = stated.get("dependencies") or []
    named = any(re.match(r"regionloss\s*($|[\[<>=!~;@ (])", str(need)) for need in needs)
    if needs and not named and stated.get("name") != OURS:
        yield 'regionloss is not among the dependencies. Add "regionloss>=0.1".'


def entry_point_finding(project: PluginProject, name: str, module: str) -> Finding:
    """Return whether an entry point has a good name and points to a module of this project."""
    part = f"entry point '{name}'"
    if not NAME.fullmatch(name) or name == "core":
        wanted = "lower-case letters and digits with '-', '_' or '.' between them, and not 'core'"
        return Finding(MISSING, part, f"expected {wanted}. Rename it: recipes will say '{name}/...'.")
    if ":" in module:
        return Finding(MISSING, part, f"expected a module, got '{module}'. Write '{module.split(':')[0]}'.")
    try:
        spec = importlib.util.find_spec(module)
    # The packages above the module are imported, and may raise anything.
    except (Exception, SystemExit) as error:
        spec, reason = None, f"{type(error).__name__}: {error}"
    else:
        reason = "there is no such module"
    if spec is None or not spec.origin:
        close = did_you_mean(module, _modules(project))
        return Finding(MISSING, part, f"'{module}' cannot be found in {project.source.name}/: {reason}. {close}")
    if not project.holds(Path(spec.origin)):
        advice = f"Put it into {project.source.name}/."
        return Finding(MISSING, part, f"'{module}' is not part of this project, but {spec.origin}. {advice}")
    return Finding(OK, part, f"{module}")


def _modules(project: PluginProject) -> Iterator[str]:
    for place in {project.source, project.folder}:
        for path in python_files(place):
            names = path.relative_to(place).with_suffix("").parts
            if names[-1] != "__init__" and place / names[0] != project.source:
                yield ".".join(names)
