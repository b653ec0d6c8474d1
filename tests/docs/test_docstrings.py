"""Docstrings read by themselves: what an argument is, without the name of the class that takes it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise

from tests.sources import ROOT, SOURCES, python_files

SECTION = re.compile(r"(Args|Returns|Raises|Yields|Source):")
#: A first word that needs what stands before it: "seed: Of the order."
FRAGMENT = re.compile(r"(As|At|By|For|From|In|Instead|Of|On|That|To|Which|With)\b")
OPENING = re.compile(r"[A-Z0-9`\"'(\[]")
FEWEST_WORDS = 3


def docstrings() -> Iterator[tuple[str, list[str]]]:
    """Yield where each docstring of the distributions is, and its lines."""
    for path in (path for folder in SOURCES for path in python_files(folder)):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (text := ast.get_docstring(node)):
                name = getattr(node, "name", "")
                yield f"{path.relative_to(ROOT)} {name}", text.splitlines()


def arguments(lines: list[str]) -> Iterator[str]:
    """Yield the entries of a docstring's Args, `name: text`, each on one line."""
    entry, inside = "", False
    for line in [*lines, "end"]:
        if inside and entry and not line.startswith("     "):
            yield entry
            entry = ""
        if line and not line.startswith(" "):
            inside = line == "Args:"
        elif inside and line.strip():
            entry = f"{entry} {line.strip()}".strip()


def wrong_with(entry: str) -> str:
    """Return what is wrong with an entry of Args; empty where nothing is."""
    name, _, text = entry.partition(": ")
    if not re.fullmatch(r"\*{0,2}\w+(, \*{0,2}\w+)*", name):
        return "no name"
    if not OPENING.match(text) or not text.endswith("."):
        return "no capital, or no period"
    if FRAGMENT.match(text) or len(text.split()) < FEWEST_WORDS:
        return "a fragment"
    return ""


def test_the_reader_sees_what_is_wrong() -> None:
    lines = ["Do.", "", "Args:", "    seed: Of the", "        order.", "    x: Boxes (N, 4), in pixels.", "", "Raises:"]
    assert list(arguments(lines)) == ["seed: Of the order.", "x: Boxes (N, 4), in pixels."]
    assert [wrong_with(f"x: {text}") for text in ("Boxes (N, 4), in pixels.", "Of it all.", "RGB.", "of a b.")] == [
        *("", "a fragment", "a fragment", "no capital, or no period")
    ]


def test_arguments_are_named_by_what_they_are() -> None:
    found = [(where, entry) for where, lines in docstrings() for entry in arguments(lines)]
    assert len(found) > 1000
    wrong = [f"{where}: {entry} ({reason})" for where, entry in found if (reason := wrong_with(entry))]
    assert not wrong, "\n".join(wrong)


def test_sections_stand_apart() -> None:
    wrong = [
        f"{where}: {line}"
        for where, lines in docstrings()
        for before, line in pairwise(lines)
        if SECTION.match(line) and before.strip()
    ]
    assert not wrong, "\n".join(wrong)
