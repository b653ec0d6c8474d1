"""What a plugin's `pyproject.toml` says, and has to say before anybody can install it."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

from ..errors import did_you_mean
from ..hooks.registrar import NAME
from ..testing.projects import PluginProject
from .plugin_findings import ADVICE, MISSING, OK, Finding

PART = "pyproject.toml"
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
    if not project.metadata:
        yield Finding(MISSING, PART, "there is no table [project]. Write one, with name, version, license and so on.")
    wrong = list(_wrong(project)) if project.metadata else []
    yield from (Finding(MISSING, PART, sentence) for sentence in wrong)
    if project.metadata and not wrong:
        yield Finding(OK, PART, f"{project.distribution} {project.version}, {project.metadata['license']}")
    if not project.metadata.get("authors"):
        yield Finding(ADVICE, PART, "nobody is named. Write authors = [{ name = ..., email = ... }].")
    if not project.entry_points:
        advice = 'Write [project.entry-points.regionloss] and hands = "regionloss_hands.plugin" below it.'
        yield Finding(MISSING, "entry point", f"regionloss cannot find the plugin. {advice}")


def _wrong(project: PluginProject) -> Iterator[str]:
    dynamic = project.metadata.get("dynamic") or []
    for key, example in REQUIRED.items():
        if not project.metadata.get(key) and key not in dynamic:
            yield f"'{key}' is not stated. Write {key} = {example}."
    needs = project.metadata.get("dependencies") or []
    if needs and not any(re.match(r"regionloss\s*($|[\[<>=!~;@ ])", str(need)) for need in needs):
        yield 'regionloss is not among the dependencies. Add "regionloss>=0.1".'
    if "build-system" not in project.table:
        yield "there is no table [build-system]. Write requires = ['hatchling'], build-backend = 'hatchling.build'."


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
    if not Path(spec.origin).resolve().is_relative_to(project.source):
        advice = f"Put it into {project.source.name}/."
        return Finding(MISSING, part, f"'{module}' is not part of this project, but {spec.origin}. {advice}")
    return Finding(OK, part, f"{module}")


def _modules(project: PluginProject) -> Iterator[str]:
    for path in project.source.rglob("*.py"):
        names = path.relative_to(project.source).with_suffix("").parts
        if names[0] not in ("tests", "docs", "build") and names[-1] != "__init__":
            yield ".".join(names)
