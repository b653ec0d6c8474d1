"""Names of modules and types, whose private names are read, and what no tracked file may hold."""

from __future__ import annotations

import ast
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sources import ROOT, SOURCES, imports, python_files

#: Modules named by a participle: crops that are aligned, the sampling of crops, a resolved recipe, regions published to
#: a host, what packages bring ("packaged", as recipes say it). Terms of the field, or of recipes.
PARTICIPLES = {"aligned", "packaged", "published", "resolved", "sampling"}


def test_modules_are_named_by_what_they_are() -> None:
    files = [path.stem for folder in SOURCES for path in python_files(folder)]
    found = {name for name in files if re.fullmatch(r"[a-z]+(ing|ed)", name)}
    assert found == PARTICIPLES


#: Classes of one name that stand in rooms far apart, and are not built on: a reader meets one of them at a time.
TWICE = {
    *("Found", "Gathered", "Mark", "Means", "Part", "Picture", "Problem", "Reconstruction", "Row"),
    *("Sample", "Score", "Seen", "Table"),
}


def test_a_class_has_a_name_of_its_own() -> None:
    counts = Counter(
        node.name
        for folder in SOURCES
        for path in python_files(folder)
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert counts["Regions"] == 1  # the reader reads
    twice = {name for name, count in counts.items() if count > 1}
    assert twice <= TWICE, f"expected names of their own, got {', '.join(sorted(twice - TWICE))} twice"


def tracked_texts() -> list[Path]:
    """Return the files that git knows (and new ones that it would add), those that are text."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if result.returncode:
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in result.stdout.split("\0") if name]
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:8192]]


#: Written in pieces, so that this file does not hold what it looks for.
REGISTRIES = tuple("".join(parts) for parts in (("py", "pi.org"), ("files.python", "hosted"), ("registry.", "npmjs")))
FOLDERS = tuple("/" + name for name in ("work", "root", "home", "Users", "mnt"))
MACHINE_PATH = re.compile(r"(?<![\w./~$}>:-])(" + "|".join(re.escape(folder) for folder in FOLDERS) + r")/[\w.-]+")


#: The one room that knows DeepSpeed.
KNOWS_DEEPSPEED = ROOT / "insighttok_ref" / "training" / "zero"
#: Names that begin with an underscore and are documented.
DOCUMENTED = {"_asdict", "_exit", "_replace"}


def foreign_privates(tree: ast.Module) -> Iterator[str]:
    """Yield what a file reads of others that begins with one underscore, and modules for tests that it imports."""
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
            own.add(node.attr)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and re.match("_[^_]", node.attr) and node.attr not in own | DOCUMENTED:
            yield f"{node.lineno}: {ast.unparse(node)}"
    for name, _, line in imports(tree, ""):
        if name.startswith("unittest") or re.search(r"\._[^_]", name):
            yield f"{line}: {name}"


def test_private_names_of_others_are_read_in_compat_alone() -> None:
    files = [path for folder in SOURCES for path in python_files(folder) if KNOWS_DEEPSPEED not in path.parents]
    read = {path: list(foreign_privates(ast.parse(path.read_text(encoding="utf-8")))) for path in files}
    where = {path for path, found in read.items() if found}
    assert ROOT / "regionloss" / "compat" / "torch.py" in where  # the reader reads
    wrong = [path for path in where if "compat" not in (path.stem, path.parent.name)]
    assert not wrong, "\n".join(f"{path.relative_to(ROOT)}:{line}" for path in wrong for line in read[path])


def test_no_file_names_a_registry_or_a_path_of_one_machine() -> None:
    files = tracked_texts()
    assert len(files) > 200
    assert MACHINE_PATH.search("see " + "/ho" + "me/somebody/file")
    wrong = []
    for path in files:
        if path == Path(__file__):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if any(host in line for host in REGISTRIES) or MACHINE_PATH.search(line):
                wrong.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}")
    assert not wrong, "\n".join(wrong)
