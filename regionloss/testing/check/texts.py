"""A plugin's README and tests, as far as they can be judged by their words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from regionloss.hooks.records import Component, Registered, TermRecord, WeightRecord
from regionloss.testing.check.contracts import CONTRACTS
from regionloss.testing.check.findings import ADVICE, MISSING, OK, Finding
from regionloss.testing.projects import PluginProject, python_files

MARK = "REPLACE"


def replace_findings(project: PluginProject) -> Iterator[Finding]:
    """Yield where a file is still the template's own."""
    places = []
    readme = filter(Path.is_file, [project.folder / readme_of(project)])
    for path in [*project.files, *python_files(project.folder / "tests"), *readme]:
        lines = _read(path).splitlines()
        shown = path.relative_to(project.folder) if path.is_relative_to(project.folder) else path
        places += [f"{shown}:{n}" for n, line in enumerate(lines, 1) if f"{MARK}:" in line]
    if places:
        yield Finding(ADVICE, "template", f"still as generated: {', '.join(places)}. Replace it, and the word {MARK}.")


def readme_findings(project: PluginProject, records: Iterable[Registered]) -> Iterator[Finding]:
    """Yield whether there is a README, and what it does not mention."""
    name = readme_of(project)
    path = project.folder / name
    yield from said_findings(name, _read(path) if path.is_file() else "", records)


def readme_of(project: PluginProject) -> str:
    """Return the name of a project's README."""
    stated = project.metadata.get("readme")
    return stated if isinstance(stated, str) else "README.md"


def said_findings(name: str, text: str, records: Iterable[Registered]) -> Iterator[Finding]:
    """Yield what a README does not mention.

    Args:
        name: How the lines call it.
        text: What it says; empty where there is none.
        records: What the plugin registers.
    """
    records = list(records)
    if not text.strip():
        wanted = "what it finds, how it is installed, and a table of components, weight files and their licences"
        yield Finding(MISSING, name, f"there is none, or it is empty. Write {wanted}.")
        return
    named = [record for record in records if isinstance(record, Component | TermRecord)]
    unsaid = sorted({record.name for record in named if record.name not in text})
    files = sorted({r.name for r in records if isinstance(r, WeightRecord) and not {r.name, r.filename} & words(text)})
    licences = "licen" in text.lower()
    if files:
        advice = "Add a table: maker, training data, licence, hash."
        yield Finding(ADVICE, name, f"it does not mention the weight files {', '.join(files)}. {advice}")
    if unsaid:
        yield Finding(MISSING, name, f"it does not mention {', '.join(unsaid)}. Add a line for each, with its licence.")
    if not licences:
        yield Finding(MISSING, name, "it says nothing of licences. Add those of the code and of each weight file.")
    if f"{MARK}:" in text:
        advice = f"Say what yours is in the place of the template's words, and take the line with {MARK} out."
        yield Finding(ADVICE, name, f"it describes the template's placeholders. {advice}")
    elif licences and not unsaid:
        yield Finding(OK, name, "it mentions licences, and every component and term")


def test_findings(project: PluginProject, records: Sequence[Registered]) -> Iterator[Finding]:
    """Yield whether the project's own tests hold its components to the contracts of their kinds."""
    folder = project.folder / "tests"
    texts = [_read(path) for path in python_files(folder)] if folder.is_dir() else []
    if not texts:
        yield Finding(MISSING, "tests", "there are none. Write tests/test_*.py with regionloss.testing.contracts.")
        return
    kinds = sorted({record.kind for record in records if isinstance(record, Component)} & CONTRACTS.keys())
    absent = [kind for kind in kinds if not any(CONTRACTS[kind] in text for text in texts)]
    for kind in absent:
        example = f"class Test(contracts.{CONTRACTS[kind]}): with make() that returns the {kind}"
        yield Finding(MISSING, "tests", f"none holds a {kind} to its contract. Write {example}.")
    if not absent:
        held = f", with the contracts of {', '.join(kinds)}" if kinds else ""
        yield Finding(OK, "tests", f"they are there (not run){held}")


def words(text: str) -> set[str]:
    """Return what stands between blanks, bars and backquotes."""
    return set(re.split(r"[\s|`,;]+", text))


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
