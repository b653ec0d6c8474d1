"""Reads the sources of all distributions, for the tests that hold the house's laws."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = [ROOT / "regionloss", ROOT / "insighttok_ref", *sorted((ROOT / "plugins").glob("*/src"))]


def python_files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*.py") if "tests" not in p.parts)


def imports(tree: ast.Module, package: str) -> Iterator[tuple[str, bool, int]]:
    """Yield the absolute name of each module imported (with the name taken from it), whether late, and the line."""
    late = {
        id(inner)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in late, node.lineno
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                yield f"{module}.{alias.name}", id(node) in late, node.lineno


def imported(path: Path, root: Path) -> list[tuple[str, bool, int]]:
    package = ".".join(path.relative_to(root).parent.parts)
    return list(imports(ast.parse(path.read_text(encoding="utf-8")), package))
