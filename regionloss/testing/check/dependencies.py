"""What a plugin's code imports, against the dependencies that its metadata declare."""

from __future__ import annotations

import ast
import importlib.metadata
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from regionloss.testing.check.findings import MISSING, OK, UNTRIED, Finding

PART = "dependencies"
#: What a module's distribution is called where the two differ and it is not installed here.
KNOWN = {
    "cv2": ("opencv-python-headless", "opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless"),
    "PIL": ("pillow",), "skimage": ("scikit-image",), "sklearn": ("scikit-learn",), "yaml": ("PyYAML",),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"), "tensorflow": ("tensorflow", "tensorflow-cpu"),
}  # fmt: skip
#: What catches a failed import.
CAUGHT = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}


def dependency_findings(
    files: Iterable[Path], own: Iterable[str], stated: Iterable[str], extras: Mapping[str, Iterable[str]]
) -> Iterator[Finding]:
    """Yield a line for each module that is imported and that no dependency brings, or one that all are declared.

    Args:
        files: The plugin's Python files.
        own: Names of its own modules and packages at the top.
        stated: Requirements of the plugin, as `[project] dependencies` has them.
        extras: Those of its extras, by name.
    """
    places = _imports(files)
    passed = {*own, *sys.stdlib_module_names, "regionloss", "insighttok_ref"}
    brought, absent = _brought([*stated, *(one for extra in extras.values() for one in extra), "regionloss"])
    installed = importlib.metadata.packages_distributions()
    lacking = False
    for module in sorted(places.keys() - passed):
        names = installed.get(module) or KNOWN.get(module, (module,))
        if brought.isdisjoint(map(canonicalize_name, names)):
            lacking = True
            # Of what is not here nobody can say what it brings.
            state = MISSING if module in {*installed, *KNOWN} or not absent else UNTRIED
            either = f"'{names[0]}'" + (f" (or {', '.join(names[1:])})" if names[1:] else "")
            advice = f"Add {either} to dependencies in pyproject.toml, or to an extra that the component names."
            yield Finding(state, PART, f"{places[module]} imports {module}, which no dependency brings. {advice}")
    if not lacking:
        others = ", ".join(sorted(places.keys() - passed)) or "nothing but regionloss"
        yield Finding(OK, PART, f"what the code imports is declared: {others}")


def _imports(files: Iterable[Path]) -> dict[str, str]:
    """Return the modules at the top that files cannot do without, and the place of the first import of each."""
    found: dict[str, str] = {}
    for file in files:
        try:
            tree = ast.parse(file.read_bytes())
        except (SyntaxError, ValueError):  # whose import says so
            continue
        for module, line in _needed(tree):
            found.setdefault(module.partition(".")[0], f"{file.name}:{line}")
    return found


def _needed(node: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield the modules that are imported below a node, and where; not those that the code can do without."""
    if isinstance(node, ast.Import):
        yield from ((alias.name, node.lineno) for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module, node.lineno
    elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("importlib.import_module", "import_module"):
        named = node.args[0] if node.args else None
        if isinstance(named, ast.Constant) and isinstance(named.value, str) and named.value[:1].isidentifier():
            yield named.value, node.lineno
    for child in _run(node):
        yield from _needed(child)


def _run(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what is run below a node, but for what is there for type checkers, or may fail."""
    if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
        yield from node.orelse
    elif isinstance(node, ast.Try) and any(_catches(handler) for handler in node.handlers):
        yield from (*node.orelse, *node.finalbody)
    else:
        yield from ast.iter_child_nodes(node)


def _catches(handler: ast.ExceptHandler) -> bool:
    """Return whether a failed import is caught: the code goes on without it, or has words of its own for that."""
    named = {ast.unparse(one) for one in getattr(handler.type, "elts", [handler.type]) if one} or CAUGHT
    return bool(named & CAUGHT)


def _brought(stated: Iterable[str]) -> tuple[set[str], bool]:
    """Return the distributions that an installer brings for requirements, and whether one of them is not here."""
    found: set[tuple[str, str]] = set()
    absent, waiting = False, [(text, "") for text in stated]
    while waiting:
        text, asked = waiting.pop()
        try:
            need = Requirement(text)
        except InvalidRequirement:
            continue
        if need.marker and not need.marker.evaluate({"extra": asked}):
            continue
        name = canonicalize_name(need.name)
        for extra in {"", *need.extras}:
            if (name, extra) not in found:
                found.add((name, extra))
                try:
                    waiting += [(further, extra) for further in importlib.metadata.requires(name) or ()]
                except importlib.metadata.PackageNotFoundError:
                    absent = True
    return {name for name, _ in found}, absent
