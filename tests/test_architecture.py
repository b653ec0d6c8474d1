"""The arrows between rooms, the sizes of files, and what no tracked file may hold: read from the sources themselves."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = [ROOT / "regionloss", ROOT / "insighttok_ref", *sorted((ROOT / "plugins").glob("*/src"))]
MOST_LINES, MOST_FUNCTION_LINES = 300, 40

BASE = {"errors", "tensors", "limits", "regions", "checks"}
STAGES = {"detectors", "extractors", "backbones", "distances", "weightings"}
#: Folders whose own folders are rooms.
WINGS = {"data", "evaluation", "testing"}
#: Room (or module of the package's root) -> the rooms that it may import when it is imported itself.
ARROWS: dict[str, set[str]] = {
    "errors": set(),
    "tensors": set(),
    "compat": set(),
    "disk": {"errors"},
    "limits": {"errors"},
    "regions": {"errors", "tensors", "limits"},
    "checks": {"errors", "regions"},
    "judges": {"regions"},
    **{room: set(BASE) for room in STAGES},
    "backbones": BASE | {"weights"},  # core's own networks read their files
    "reduction": BASE,
    "losses": BASE | STAGES | {"reduction"},
    "hosts": BASE | {"compat", "losses"},
    "hooks": {"compat", "errors"},
    "weights": {"compat", "disk", "errors", "hooks"},
    "recipe": {"disk", "errors", "hooks", "losses"},
    "console": {"errors"},
    "runs": {"compat", "console", "disk", "errors"},
    "data/images": BASE,
    "data/shards": BASE | {"compat", "disk", "data/images"},
    "data/sidecars": BASE | {"console", "data/images", "data/shards"},
    "data/batches": BASE | {"data/images", "data/shards", "data/sidecars"},
    "data/words": BASE,
    # The side-cars are written from what a detector found: annotation knows the protocol, and no detector.
    "data/annotate": BASE
    | {"compat", "console", "disk", "hooks", "weights", "detectors", "data/images", "data/shards", "data/sidecars"},
    "pictures": BASE | {"losses", "data/images", "data/shards", "data/sidecars"},
    "evaluation/metrics": BASE,
    "autoencoders": BASE | {"hooks", "weights"},
    "evaluation/pairs": BASE | {"autoencoders", "data/images", "data/shards", "data/sidecars"},
    "evaluation/benchmarks": BASE | {"judges", "losses", "evaluation/metrics", "evaluation/pairs"},
    "evaluation": BASE
    | {"backbones", "console", "disk", "hooks", "judges", "losses", "runs", "weights", "data/images"}
    | {"evaluation/benchmarks", "evaluation/metrics", "evaluation/pairs"},
    "evaluation/report": BASE
    | {"judges", "pictures", "evaluation", "evaluation/metrics", "data/batches", "data/images", "data/shards"},
    "testing": {"errors", "hooks", "regions"},
    "testing/contracts": BASE | STAGES | {"hooks", "hosts", "judges", "losses", "testing"},
    "testing/check": {"console", "errors", "hooks", "recipe", "weights", "testing", "testing/contracts"},
    "cli": BASE
    | {"console", "disk", "runs", "hooks", "recipe", "weights", "detectors", "losses", "pictures"}
    | {"data/annotate", "data/images", "data/shards", "data/sidecars", "testing", "testing/check"},
    "__main__": {"cli"},
}
#: Imports inside a function that go against the arrows, each for a reason that stands beside it in the code.
LATE = {
    ("hosts", "hooks"),  # wrap(loss, "taming", terms): a name, too
    ("detectors", "hooks"),  # rl.detect("face/mtcnn"): a name, too
}
#: What plugins build on (docs/explanation/stability.md lists the same, and the doors).
PLUGIN_API = {
    "regionloss",
    "regionloss.autoencoders",
    "regionloss.backbones",
    "regionloss.checks",
    "regionloss.errors",
    "regionloss.hooks",
    "regionloss.hooks.specs",
    "regionloss.judges",
    "regionloss.regions",
    "regionloss.weights",
}
#: What trainers and commands build on besides, those of the reference and those of third parties.
DOORS = PLUGIN_API | {
    "regionloss.console",
    "regionloss.data.annotate",
    "regionloss.data.batches",
    "regionloss.data.images",
    "regionloss.data.shards",
    "regionloss.data.sidecars",
    "regionloss.data.words",
    "regionloss.detectors",
    "regionloss.disk",
    "regionloss.distances",
    "regionloss.evaluation",
    "regionloss.evaluation.report",
    "regionloss.extractors",
    "regionloss.hooks.catalogue",
    "regionloss.hooks.options",
    "regionloss.hooks.validation",
    "regionloss.losses",
    "regionloss.pictures",
    "regionloss.recipe",
    "regionloss.runs",
    "regionloss.weightings",
}


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


def room_of(parts: Sequence[str]) -> str:
    """Return the room of a module, by the parts of its path below `regionloss`."""
    nested = parts[0] in WINGS and len(parts) > 1 and (ROOT / "regionloss" / parts[0] / parts[1]).is_dir()
    return "/".join(parts[:2]) if nested else parts[0].removesuffix(".py")


def core_imports() -> list[tuple[str, str, bool, str]]:
    """Return from room, to room, whether late, and where, of every import between rooms of `regionloss`."""
    found = []
    for path in python_files(ROOT / "regionloss"):
        room = room_of(path.relative_to(ROOT / "regionloss").parts)
        for name, late, line in imported(path, ROOT):
            parts = name.split(".")
            if parts[0] == "regionloss" and len(parts) > 1 and (goal := room_of(parts[1:])) != room:
                found.append((room, goal, late, f"{path.relative_to(ROOT)}:{line}"))
    return found


def test_rooms_import_one_another_along_the_arrows() -> None:
    found = core_imports()
    assert ("losses", "extractors") in {(source, goal) for source, goal, _, _ in found}  # the reader reads
    wrong = [
        f"{where}: {source} imports {goal}"
        for source, goal, late, where in found
        if source != "__init__"
        and goal not in ARROWS.get(source, set())
        and not (late and (source, goal) in LATE)
        and goal != "__version__"
    ]
    assert not wrong, "\n".join(wrong)


def test_every_room_has_arrows() -> None:
    rooms = {room_of(path.relative_to(ROOT / "regionloss").parts) for path in python_files(ROOT / "regionloss")}
    assert rooms - ARROWS.keys() == {"__init__", "data"}  # of data, only its folders


def test_no_arrows_make_a_circle() -> None:
    done: set[str] = set()
    while left := ARROWS.keys() - done:
        free = {room for room in left if not ARROWS[room] & left}
        assert free, f"a circle among {sorted(left)}"
        done |= free


#: Modules named by a participle: crops that are aligned, the sampling of crops, a resolved recipe, regions published to
#: a host, what packages bring ("packaged", as recipes say it). Terms of the field or of the interface.
PARTICIPLES = {"aligned", "packaged", "published", "resolved", "sampling"}


def test_modules_are_named_by_what_they_are() -> None:
    files = [path.stem for folder in SOURCES for path in python_files(folder)]
    found = {name for name in files if re.fullmatch(r"[a-z]+(ing|ed)", name)}
    assert found == PARTICIPLES


def test_exceptions_to_the_arrows_are_still_needed() -> None:
    assert {(source, goal) for source, goal, late, _ in core_imports() if late} >= LATE


def test_stages_meet_only_in_the_losses() -> None:
    both = [where for source, goal, _, where in core_imports() if source in STAGES and goal in STAGES]
    assert not both


def test_testing_leaves_the_command_line_alone() -> None:
    assert not [where for source, goal, _, where in core_imports() if source.startswith("testing") and goal == "cli"]


def test_the_core_imports_neither_the_reference_nor_a_plugin() -> None:
    outside = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in python_files(ROOT / "regionloss")
        for name, _, line in imported(path, ROOT)
        if name.split(".")[0] in ("insighttok_ref", "tests") or name.startswith("regionloss_")
        # A docstring's example may; an import may not.
    ]
    assert not outside


def test_the_reference_imports_no_plugin() -> None:
    names = {
        name.split(".")[0] for path in python_files(ROOT / "insighttok_ref") for name, _, _ in imported(path, ROOT)
    }
    assert {name for name in names if name.startswith("regionloss")} == {"regionloss"}


def past_the_doors(folder: Path, root: Path, doors: set[str]) -> list[str]:
    """Return where a folder imports of regionloss, or of the reference, what no door has."""
    wrong = []
    for path in python_files(folder):
        for name, _, line in imported(path, root):
            door, _, taken = name.rpartition(".")
            own = name.partition(".")[0] == folder.name
            if own or name.partition(".")[0] not in ("regionloss", "insighttok_ref") or name in doors:
                continue
            names = getattr(importlib.import_module(door), "__all__", None) if door in doors else []
            if taken.startswith("_") or (taken not in names if names is not None else False):
                wrong.append(f"{path.relative_to(ROOT)}:{line}: {name}")
    return wrong


@pytest.mark.parametrize("plugin", sorted(p.name for p in (ROOT / "plugins").iterdir() if p.is_dir()))
def test_plugins_import_the_public_interface_alone(plugin: str) -> None:
    folder = ROOT / "plugins" / plugin / "src"
    wrong = past_the_doors(folder, folder, PLUGIN_API)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("folder", ["insighttok_ref", "examples"])
def test_trainers_commands_and_examples_come_in_by_the_doors(folder: str) -> None:
    wrong = past_the_doors(ROOT / folder, ROOT, DOORS)
    assert not wrong, "\n".join(wrong)


def test_what_is_no_door_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (tmp_path / "there.py").write_text(
        "from regionloss.data.images import read_image, files\n"
        "from regionloss.data.images.files import to_image\n"
        "from regionloss.errors import _private, expected\n"
        "import regionloss.runs\n"
        "def late():\n    from regionloss.cli.train import train\n"
    )
    found = [line.rpartition(" ")[2] for line in past_the_doors(tmp_path, tmp_path, DOORS)]
    assert found == [
        "regionloss.data.images.files",
        "regionloss.data.images.files.to_image",
        "regionloss.errors._private",
        "regionloss.cli.train.train",
    ]


@pytest.mark.parametrize("door", sorted(DOORS))
def test_a_door_has_what_it_lists_and_the_promise_names_it(door: str) -> None:
    module = importlib.import_module(door)
    assert {name for name in getattr(module, "__all__", ()) if not hasattr(module, name)} == set()
    promise = (ROOT / "docs" / "explanation" / "stability.md").read_text(encoding="utf-8")
    assert f"`{door}`" in promise or f"`{door.removeprefix('regionloss')}`" in promise


def test_the_door_to_runs_imports_no_torch() -> None:
    program = "import sys; from regionloss.runs import is_first_process; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout.split() == ["False"], result.stderr


def test_importing_regionloss_imports_no_torch() -> None:
    program = "import regionloss, sys; print(regionloss.__version__, 'torch' in sys.modules, 'numpy' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout.split()[1:] == ["False", "False"], result.stderr


def test_every_public_name_is_there_and_has_a_docstring() -> None:
    import regionloss

    assert set(regionloss.__all__) <= set(dir(regionloss))
    for name in regionloss.__all__:
        assert getattr(regionloss, name).__doc__, name


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


#: The one file that knows DeepSpeed.
KNOWS_DEEPSPEED = ROOT / "insighttok_ref" / "training" / "engines.py"
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
    files = [path for folder in SOURCES for path in python_files(folder) if path != KNOWS_DEEPSPEED]
    read = {path: list(foreign_privates(ast.parse(path.read_text(encoding="utf-8")))) for path in files}
    where = {path for path, found in read.items() if found}
    assert ROOT / "regionloss" / "compat" / "torch.py" in where  # the reader reads
    wrong = [path for path in where if "compat" not in (path.stem, path.parent.name)]
    assert not wrong, "\n".join(f"{path.relative_to(ROOT)}:{line}" for path in wrong for line in read[path])


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
