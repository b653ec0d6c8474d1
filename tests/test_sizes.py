"""How long files and functions may be, that all of them are typed, and that wheels hold them."""

from __future__ import annotations

import ast
import subprocess
import tomllib

from tests.sources import ROOT, SOURCES, python_files

MOST_LINES, MOST_FUNCTION_LINES = 300, 40


def test_files_can_be_read_in_a_sitting() -> None:
    files = [path for folder in SOURCES for path in python_files(folder)]
    assert len(files) > 100
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    long = [f"{path.relative_to(ROOT)}: {length} lines" for path, length in lengths.items() if length > MOST_LINES]
    assert not long, "\n".join(long)


def test_functions_fit_a_screen() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.name}, {code_lines(node)} lines"
        for folder in SOURCES
        for path in python_files(folder)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        # A list of registrations is data.
        and not node.name.startswith("register_")
        and code_lines(node) > MOST_FUNCTION_LINES
    ]
    assert not long, "\n".join(long)


def code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function's body; signature (a list of options) and docstring are left out."""
    documented = ast.get_docstring(node, clean=False) is not None
    body = node.body[1:] if documented else node.body
    return body[-1].end_lineno - body[0].lineno + 1 if body and body[-1].end_lineno else 0


def test_every_distribution_is_typed_strictly() -> None:
    checked = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]
    packages = [folder if folder.name != "src" else next(folder.glob("*/__init__.py")).parent for folder in SOURCES]
    assert checked["strict"]
    assert sorted(checked["packages"]) == sorted(folder.name for folder in packages)
    assert sorted(checked["mypy_path"]) == sorted(
        str(folder.parent.relative_to(ROOT)) for folder in packages if folder.parent.name == "src"
    )


def test_git_ignores_no_source() -> None:
    files = [str(path.relative_to(ROOT)) for folder in SOURCES for path in python_files(folder)]
    command = ["git", "check-ignore", "--no-index", "--stdin"]
    result = subprocess.run(command, cwd=ROOT, input="\n".join(files), capture_output=True, text=True)
    assert result.returncode == 1, result.stdout + result.stderr  # wheels leave out what is ignored, too
