"""Plugins that share a kind of region, and parts that are no such part: what each command says of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from regionloss.hooks.catalogue import build_catalogue, forget
from regionloss.testing.check.check import findings_of
from regionloss.testing.check.findings import MISSING, OK
from regionloss.testing.template import write_plugin
from tests.disk_plugins import write_distribution

HAND = """
from regionloss import hookimpl

@hookimpl
def register_region_kinds(register):
    register("hand", summary="a hand", keypoints=["wrist", "left", "right"], flip_pairs=[(1, 2)])
"""


def typed(site: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `regionloss WORDS` with the plugins of a folder alone."""
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    setting = {**os.environ, "PYTHONPATH": path, "COLUMNS": "300", **variables}
    return subprocess.run([sys.executable, "-m", "regionloss", *words], env=setting, capture_output=True, text=True)


@pytest.fixture
def hands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the plugin `palms`, which registers kind `hand`; it is installed."""
    write_distribution(tmp_path, "palms", HAND)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("REGIONLOSS_PLUGINS", "palms")
    forget()
    return tmp_path


def test_a_new_plugin_of_a_known_kind_breaks_nobody(hands: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It works beside the other, whose keypoints hold, and alone; the check and the tests of both say so."""
    folder, _, notes = write_plugin("gloves", hands, "hand")
    assert notes == [
        "region kind 'hand' is known from regionloss-palms 1.0. "
        "The two share it: say nothing of its keypoints, or the same."
    ]
    assert not [f for f in findings_of(folder) if f.state == MISSING]
    monkeypatch.syspath_prepend(str(folder / "src"))
    info = folder / "src" / "regionloss_gloves-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: regionloss-gloves\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text("[regionloss]\ngloves = regionloss_gloves.plugin\n")
    both = build_catalogue(["palms", "gloves"])
    assert both.clashes() == []
    assert len(both.region_kind("hand").keypoints) == 3
    assert build_catalogue(["gloves"]).region_kind("hand").keypoints == ()
    terms = hands / "terms.yaml"
    terms.write_text("version: 1\nterms:\n  gloves: {use: gloves}\n  lpips: {use: region-lpips, kind: hand}\n")
    site = os.pathsep.join([str(hands), str(folder / "src")])
    checked = typed(Path(site), "check", str(terms), REGIONLOSS_PLUGINS="palms,gloves")
    assert (checked.returncode, checked.stderr) == (0, "")


def test_a_new_plugin_registers_no_kind_of_core(hands: Path) -> None:
    folder, _, notes = write_plugin("masks", hands, "face")
    assert "register_region_kinds" not in (folder / "src" / "regionloss_masks" / "plugin.py").read_text()
    assert len(notes) == 1


def test_keypoints_that_differ_are_found_by_the_check(hands: Path) -> None:
    folder = write_plugin("gloves", hands, "hand")[0]
    plugin = folder / "src" / "regionloss_gloves" / "plugin.py"
    text = plugin.read_text()
    plugin.write_text(text.replace('register("hand", ', 'register("hand", keypoints=("palm",), '))
    assert plugin.read_text() != text
    wrong = [f for f in findings_of(folder) if f.state == MISSING]
    assert {f.part for f in wrong} == {"names", "term 'edges'"}
    owners = "regionloss-gloves 0.1.0 and regionloss-palms 1.0"
    assert all(
        f"region kind 'hand' has different keypoints (3 and 1) in {owners}. Use one" in f.sentence for f in wrong
    )


def test_a_term_whose_detector_finds_another_kind(tmp_path: Path) -> None:
    folder = write_plugin("signs", tmp_path)[0]
    detector = folder / "src" / "regionloss_signs" / "detector.py"
    text = detector.read_text()
    detector.write_text(text.replace('    kind = "signs"', '    kind = "text"'))
    wrong = [f for f in findings_of(folder) if f.state == MISSING]
    said = "use: detector 'colour': expected one that finds 'signs', as the term reads, got 'text'."
    assert [(f.part, f.sentence[: len(said)]) for f in wrong] == [("term 'edges'", said)]
    # Where its class does not say it, the detector is built.
    late = text.replace('    kind = "signs"\n', "").replace(
        "        self.threshold,", '        self.kind = "text"\n        self.threshold,'
    )
    detector.write_text(late)
    wrong = [f for f in findings_of(folder) if f.state == MISSING]
    said = f"its parts do not fit together: InputError: {said[5:]}"
    assert [(f.part, f.sentence[: len(said)]) for f in wrong] == [("term 'edges'", said)]


PARTS = """
from regionloss import hookimpl

@hookimpl
def register_{hook}(register):
    register("part", "{{module}}:part", summary="s", licence="MIT")

{body}
"""
RUNS = 'class part:\n    """Trains."""\n    def __init__(self, steps: int): ...\n    def run(self{more}): ...'


@pytest.mark.parametrize(
    ("hook", "body", "sentence"),
    [
        ("hosts", "part = 3", "expected a HostSpec, got int."),
        ("hosts", "from regionloss import HostSpec\npart = HostSpec('x', 'y')", ""),
        ("trainers", "part = 3", "expected a class, got 3."),
        ("trainers", 'class part:\n    """Idle."""', "with a method run(run: TrainingRun), got one without"),
        ("trainers", RUNS.format(more=""), "TypeError: too many positional arguments"),
        ("trainers", RUNS.format(more=", run"), ""),
        ("commands", "part = 3", "expected a typer app or a function, got 3."),
        ("commands", "import typer\npart = typer.Typer()", "RuntimeError: Could not get a command"),
        ("commands", 'def part(x: int | str):\n    """Odd."""', "CommandContract.test_it_helps: "),
        ("commands", 'def part(x: int):\n    """Says x."""', ""),
        ("distances", "raise SystemExit(5)", "SystemExit: 5"),
    ],
)  # fmt: skip
def test_a_part_that_cannot_work_is_found_by_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hook: str, body: str, sentence: str
) -> None:
    source = PARTS.format(hook=hook, body="" if hook == "distances" else body)
    if hook == "distances":
        (tmp_path / "leaving.py").write_text(body)
        source = source.replace("{module}:part", "leaving:part")
    write_distribution(tmp_path, "odd", source)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    part = f"{hook.removesuffix('s')} 'part'"
    found = [f for f in findings_of(Path("odd")) if f.part == part]
    assert (
        [f for f in found if f.state == MISSING and sentence in f.sentence]
        if sentence
        else all(f.state == OK for f in found)
    )
    assert sentence or any("it keeps its contract" in f.sentence for f in found)


def test_a_command_that_is_none_is_a_sentence_and_the_others_work(tmp_path: Path) -> None:
    """Called, it names plugin and target; `--help` lists it all the same."""
    for name, body in (("three", "part = 3"), ("odd", "def part(x: int | str): ..."), ("bye", "raise SystemExit(4)")):
        source = PARTS.format(hook="commands", body="" if name == "bye" else body).replace('"part"', f'"{name}"')
        if name == "bye":
            (tmp_path / "leaving.py").write_text(body)
            source = source.replace("{module}:part", "leaving:part")
        write_distribution(tmp_path, name, source)
    setting = {"REGIONLOSS_PLUGINS": "three,odd,bye"}
    assert all(name in typed(tmp_path, "--help", **setting).stdout for name in ("three", "odd", "bye", "train"))
    for name, said in (
        ("three", ":part: expected a typer app or a function, got 3."),
        ("odd", ":part makes no command: AssertionError: "),
        ("bye", "cannot be imported: leaving: SystemExit: 4."),
    ):
        result = typed(tmp_path, name, **setting)
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr.startswith(f"command '{name}/{name}' (regionloss-{name} 1.0)")
        assert said in result.stderr
        assert "Traceback" not in result.stderr


def test_listing_the_plugins_is_quick_and_imports_no_torch(tmp_path: Path) -> None:
    """The interpreter's own account of what it imports: 360 modules, where torch alone brings more than a thousand."""
    command = [sys.executable, "-X", "importtime", "-m", "regionloss", "plugins"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [line.split("|") for line in result.stderr.splitlines() if line.startswith("import time:")][1:]
    names = {row[2].strip().split(".")[0] for row in rows}
    assert "regionloss" in names
    assert not names & {"torch", "numpy", "pandas", "torchvision"}
    assert len(rows) < 450
