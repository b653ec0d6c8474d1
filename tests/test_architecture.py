"""The arrows between rooms, and the doors for what is built on them: read from the sources themselves."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.sources import ROOT, imported, python_files

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
    "schedules": {"errors", "limits"},
    "regions": {"errors", "tensors", "limits"},
    "checks": {"errors", "regions"},
    "judges": {"regions"},
    **{room: set(BASE) for room in STAGES},
    "backbones": BASE | {"weights"},  # core's own networks read their files
    "reduction": BASE,
    "losses": BASE | STAGES | {"reduction", "schedules"},
    "hosts": BASE | {"compat", "losses"},
    "hooks": {"compat", "errors", "limits"},
    "weights": {"compat", "disk", "errors", "hooks"},
    "recipe": {"disk", "distances", "errors", "hooks", "limits", "losses", "schedules"},
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
    "autoencoders": BASE | {"compat", "disk", "hooks", "weights"},
    "evaluation/pairs": BASE | {"autoencoders", "data/images", "data/shards", "data/sidecars"},
    "evaluation/benchmarks": BASE | {"judges", "losses", "evaluation/metrics", "evaluation/pairs"},
    "evaluation": BASE
    | {"backbones", "console", "disk", "extractors", "hooks", "judges", "losses", "runs", "weights", "data/images"}
    | {"evaluation/benchmarks", "evaluation/metrics", "evaluation/pairs"},
    "evaluation/generation": BASE | {"judges", "evaluation/benchmarks", "evaluation/metrics", "evaluation/pairs"},
    "evaluation/report": BASE
    | {"disk", "judges", "pictures", "evaluation", "evaluation/benchmarks", "evaluation/metrics"}
    | {"data/batches", "data/images", "data/shards"},
    "calibration": BASE | {"losses", "schedules"},
    "notebook": BASE | {"data/images", "detectors", "losses", "pictures", "recipe", "schedules"},
    "testing": {"errors", "hooks", "regions"},
    "testing/contracts": BASE | STAGES | {"hooks", "hosts", "judges", "losses", "testing"},
    "testing/check": {"console", "errors", "hooks", "recipe", "weights", "testing", "testing/contracts"},
    "cli": BASE
    | {"console", "disk", "runs", "hooks", "recipe", "weights", "detectors", "losses", "pictures", "autoencoders"}
    | {"schedules", "judges", "notebook"}
    | {"evaluation", "evaluation/benchmarks", "evaluation/pairs", "evaluation/report"}
    | {"data/annotate", "data/images", "data/shards", "data/sidecars", "testing", "testing/check"},
    "__main__": {"cli"},
}
#: The same of the reference build.
REFERENCE_ARROWS: dict[str, set[str]] = {
    "schema": set(),
    "plugin": set(),
    "quantizers": {"schema"},
    "tokenizers": {"quantizers", "schema"},
    "objective": {"schema", "tokenizers"},
    "data": {"schema"},
    "calibration": {"objective", "tokenizers"},
    "generator": {"tokenizers", "training"},
    "tokens": {"tokenizers"},
    "training": {"schema", "tokenizers"},
    "trainers": {"data", "generator", "objective", "quantizers", "schema", "tokenizers", "tokens", "training"},
    "cli": {"calibration", "data", "generator", "objective", "tokenizers", "tokens"},
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
    "regionloss.evaluation.benchmarks",
    "regionloss.evaluation.generation",
    "regionloss.evaluation.pairs",
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


def test_rooms_of_the_reference_import_one_another_along_the_arrows() -> None:
    root, wrong = ROOT / "insighttok_ref", []
    for path in python_files(root):
        room = path.relative_to(root).parts[0].removesuffix(".py")
        for name, _, line in imported(path, ROOT):
            parts = name.split(".")
            if parts[0] == "insighttok_ref" and len(parts) > 1 and parts[1] not in REFERENCE_ARROWS[room] | {room}:
                wrong.append(f"{path.relative_to(ROOT)}:{line}: {room} imports {parts[1]}")
    assert not wrong, "\n".join(wrong)


def test_every_room_has_arrows() -> None:
    rooms = {room_of(path.relative_to(ROOT / "regionloss").parts) for path in python_files(ROOT / "regionloss")}
    assert rooms - ARROWS.keys() == {"__init__", "data"}  # of data, only its folders


@pytest.mark.parametrize("arrows", [ARROWS, REFERENCE_ARROWS], ids=["core", "reference"])
def test_no_arrows_make_a_circle(arrows: dict[str, set[str]]) -> None:
    done: set[str] = set()
    while left := arrows.keys() - done:
        free = {room for room in left if not arrows[room] & left}
        assert free, f"a circle among {sorted(left)}"
        done |= free


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


#: The regions of images become one batch, the processes of a launch one run.
TWICE_AT_DOORS = {"join"}


def test_a_name_means_one_thing_at_all_doors() -> None:
    meanings: dict[str, set[int]] = {}
    for module in map(importlib.import_module, DOORS):
        for name in getattr(module, "__all__", ()):
            meanings.setdefault(name, set()).add(id(getattr(module, name)))
    assert {name for name, objects in meanings.items() if len(objects) > 1} == TWICE_AT_DOORS
