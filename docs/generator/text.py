"""Docstrings as the pages show them."""

from __future__ import annotations

import inspect
import re
from typing import Any

#: What every generated page begins with.
BY = "<!-- Written by `python -m docs.generator`; a test compares the two. -->"


def paragraphs(found: Any) -> list[str]:
    """Return what a docstring says before its arguments; its first paragraph where it is not ours."""
    said = re.split(r"\n\n(?=(?:Args|Returns|Raises|Yields|Example|Source|Attributes)\b)", inspect.getdoc(found) or "")[
        0
    ]
    whole = [" ".join(paragraph.split()) for paragraph in said.split("\n\n")]
    return whole if found.__module__.startswith("regionloss") else whole[:1]


def cell(text: str) -> str:
    """Return text for a cell of a table."""
    return text.replace("|", "\\|")


def arguments(documentation: str) -> list[tuple[str, str]]:
    """Return name and meaning of each line under `Args:`."""
    found: list[tuple[str, str]] = []
    lines = documentation.partition("Args:\n")[2].splitlines()
    for line in lines:
        if not line.startswith("    "):
            break
        name, colon, text = line.strip().partition(": ")
        if colon and line[4] != " ":
            found.append((name, text))
        else:
            found[-1] = (found[-1][0], f"{found[-1][1]} {line.strip()}")
    return found
