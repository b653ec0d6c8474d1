"""`regionloss plugin check`: each lack has its line, everything else is looked at all the same."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from regionloss.cli.main import app
from regionloss.hooks.catalogue import catalogue
from regionloss.testing.check.check import findings_of
from regionloss.testing.check.findings import ADVICE, MISSING, OK, UNTRIED, Finding
from regionloss.testing.projects import as_installed
from regionloss.testing.template import write_plugin
from tests.disk_plugins import write_distribution

SOURCE = "src/regionloss_signs"
Change = Callable[[str, str, str], None]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A new plugin, in which nothing is missing."""
    return write_plugin("signs", tmp_path)[0]


@pytest.fixture
def change(project: Path) -> Change:
    """A function that replaces a text in one of its files."""

    def replace(file: str, old: str, new: str) -> None:
        path = project / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return replace


def missing(path: Path) -> list[Finding]:
    return [finding for finding in findings_of(path) if finding.state == MISSING]


def said(path: Path) -> str:
    return "\n".join(finding.sentence for finding in missing(path))


def test_a_misspelled_hook_has_its_line_and_the_others_work(project: Path, change: Change) -> None:
    change(f"{SOURCE}/plugin.py", "def register_detectors(", "def register_detector(")
    found = list(findings_of(project))
    wrong = [f for f in found if f.state == MISSING]
    assert "'register_detector' is not a hook. Did you mean 'register_detectors'?" in wrong[0].sentence
    assert Finding(OK, "backbone 'edges'", "it keeps its contract (FeatureBackboneContract, 8 tests)") in found
    # The term's detector is gone with it.
    assert any(f.part == "term 'edges'" and "no detector is named 'colour'" in f.sentence for f in wrong)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("@hookimpl\ndef register_detectors", "def register_detectors", "register_detectors is not marked as a hook."),
        (
            "@hookimpl\ndef register_detectors",
            "def register_detektors",
            "'register_detektors' is neither a hook nor marked as one. Did you mean 'register_detectors'?",
        ),
        (
            "register_detectors(register: RegisterComponent)",
            "register_detectors(registry)",
            "register_detectors: expected the one argument 'register', got (registry).",
        ),
        ('licence="Apache-2.0"', 'license="Apache-2.0"', "unexpected keyword argument 'license'"),
        ('    """What finds regions."""', "    raise OSError('no luck')", "register_detectors: OSError: no luck."),
        ("detector:ColourDetector", "detector:ColorDetector", "Did you mean 'ColourDetector'?"),
        ("regionloss_signs.detector:", "regionloss_signs.detectr:", "No module named 'regionloss_signs.detectr'"),
        ('backbone="edges"', 'backbone="edgs"', "no backbone is named 'edgs'. Did you mean 'edges'?"),
        ('{"size": [64, 64]}', '{"sise": [64, 64]}', "expected a known key, got 'sise'. Did you mean 'size'?"),
        ('kind="signs"', 'kind="sings"', "no region kind is named 'sings'. Did you mean 'signs'?"),
        ('summary="areas of strong colour",', 'summary="x", weights=["net"],', "no weight file is named 'net'."),
        ("from regionloss import hookimpl", "import torch\nfrom regionloss import hookimpl", "it imports torch, so"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_the_module_has_a_sentence(
    project: Path, change: Change, old: str, new: str, sentence: str
) -> None:
    change(f"{SOURCE}/plugin.py", old, new)
    assert sentence in said(project)


def test_a_module_that_raises_has_a_sentence_and_the_rest_goes_on(project: Path, change: Change) -> None:
    change(f"{SOURCE}/plugin.py", "from regionloss import hookimpl", "raise SystemExit('not today')")
    found = list(findings_of(project))
    (wrong,) = (f for f in found if f.state == MISSING and f.part == "import")
    assert wrong.sentence.startswith("regionloss_signs.plugin cannot be imported: SystemExit: not today. Mend")
    assert {"pyproject.toml", "dependencies", "tests"} <= {f.part for f in found if f.state == OK}


def test_a_slow_module_has_a_sentence(project: Path, change: Change) -> None:
    change(
        f"{SOURCE}/plugin.py",
        "from regionloss import hookimpl",
        "import time\ntime.sleep(0.5)\nfrom regionloss import hookimpl",
    )
    (wrong,) = missing(project)
    assert wrong.part == "import"
    assert wrong.sentence.startswith("it takes 0.")
    assert "and 0.3 s is the limit. Import what is heavy in the modules that its targets name" in wrong.sentence


@pytest.mark.parametrize(
    ("file", "old", "new", "sentence"),
    [
        ("detector", "min(x2, image_size[1])", "image_size[1] + 9", "hold: assert bool((regions.boxes <="),
        ("detector", "    def detect(", "    def find(", "object has no attribute 'detect'"),
        ("detector", 'if not 0 < threshold < 1', "if True", "Register a term that gives its options"),
        ("backbone", "levels.append(self", "levels.append(torch.rand(()) + self", "expected 0 for equal images"),
        ("backbone", "levels.append(self", "levels.append(torch.rand(()) + self", "It does not hold"),
        ("backbone", "images, scale", "images.detach(), scale", "Every crop gets a finite gradient that is not zero"),
        ("backbone", "InputSpec()", "InputSpec(size=(32, 32))", "It does not hold: InputError: crops: expected 32"),
        ("backbone", '"""Horizontal', '_ = """Horizontal', "EdgeBackbone has no docstring. Write one sentence"),
        ("backbone", "super().__init__(Edge", "self.x = 1 / 0\n        super().__init__(Edge", "ZeroDivisionError"),
    ],
)  # fmt: skip
def test_a_broken_contract_is_named(
    project: Path, change: Change, file: str, old: str, new: str, sentence: str
) -> None:
    change(f"{SOURCE}/{file}.py", old, new)
    assert sentence in "\n".join(f.sentence for f in findings_of(project) if f.state in (MISSING, UNTRIED))


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('license = "Apache-2.0"\n', "", "'license' is not stated. Write license = "),
        ('version = "0.1.0"\n', "", "'version' is not stated."),
        ('["regionloss>=0.2"]', '["regionloss-text"]', "regionloss is not among the dependencies."),
        ("[build-system]", "[building]", "there is no table [build-system]."),
        ("[project]", "[projekt]", "'name' is not stated."),
        ("entry-points.regionloss]", "entry-points.regionlos]", "regionloss cannot find the plugin."),
        (
            "signs.plugin",
            "signs.plugins",
            "'regionloss_signs.plugins' cannot be found in src/: there is no such module.",
        ),
        ('"regionloss_signs.plugin"', '"json.decoder"', "'json.decoder' is not part of this project"),
        ("signs = ", "Signs = ", "recipes will say 'Signs/...'."),
    ],
)
def test_what_the_metadata_lack_has_a_sentence(
    project: Path, change: Change, old: str, new: str, sentence: str
) -> None:
    change("pyproject.toml", old, new)
    assert sentence in said(project)


def test_missing_documents_and_tests_have_sentences(project: Path, change: Change) -> None:
    change("README.md", "colour", "color")
    change("tests/test_contracts.py", "FeatureBackboneContract", "object")
    assert "it does not mention colour." in said(project)
    assert "none holds a backbone to its contract. Write class Test(contracts.FeatureBackboneContract)" in said(project)
    (project / "README.md").unlink()
    for path in (project / "tests").iterdir():
        path.unlink() if path.is_file() else None
    assert "there is none, or it is empty. Write what it finds" in said(project)
    assert "there are none. Write tests/test_*.py with regionloss.testing.contracts." in said(project)


def test_weight_files_need_a_hash_that_fits(
    project: Path, change: Change, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGIONLOSS_HOME", str(tmp_path / "home"))
    entry = '{"net": dict(filename="net.pth", sha256="%s", size=3, source="path:", licence="not stated", summary="s")}'
    change(f"{SOURCE}/weight_files.py", "Any]] = {}", f"Any]] = {entry % ''}")
    states = {(f.state, f.sentence.split(".")[0]) for f in findings_of(project) if f.part == "weight file 'net'"}
    assert {state for state, _ in states} == {ADVICE, UNTRIED}
    assert (ADVICE, "its makers state no licence") in states
    with as_installed(project):
        from regionloss.weights.cache import cache_path

        path = cache_path(catalogue().weight("signs/net"))
    path.parent.mkdir(parents=True)
    path.write_bytes(b"abc")
    right = hashlib.sha256(b"abc").hexdigest()
    assert f"its hash is not stated. Write sha256='{right}'" in said(project)
    change(f"{SOURCE}/weight_files.py", 'sha256=""', f'sha256="{right}"')
    assert not missing(project)
    change(f"{SOURCE}/weight_files.py", right, "0" * 64)
    assert "weights 'net'" in said(project)


def test_a_weight_file_of_the_plugins_own_is_found_where_the_project_lies(project: Path, change: Change) -> None:
    right = hashlib.sha256(b"abc").hexdigest()
    source = "pip:regionloss_signs==0.1.0:regionloss_signs/net.pth"
    entry = f'dict(filename="net.pth", sha256="{right}", size=3, source="{source}", licence="MIT", summary="s")'
    change(f"{SOURCE}/weight_files.py", "Any]] = {}", f'Any]] = {{"net": {entry}}}')
    assert "Its own package, regionloss-signs, has no file with that hash as regionloss_signs/net.pth." in said(project)
    (project / SOURCE / "net.pth").write_bytes(b"abc")
    assert Finding(OK, "weight file 'net'", "net.pth, licence MIT") in list(findings_of(project))


def test_a_clash_with_an_installed_plugin_has_a_sentence(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = """
    from regionloss.hooks import hookimpl

    @hookimpl
    def register_detectors(register):
        register("colour", "nowhere:X", licence="MIT", summary="theirs")
    """
    write_distribution(tmp_path, "signs", source, name="their-signs", version="3.0")
    monkeypatch.syspath_prepend(str(tmp_path))
    wrong = [finding for finding in missing(project) if finding.part == "names"]
    assert wrong[0].sentence.startswith(
        "plugin 'signs' comes from two distributions: regionloss-signs 0.1.0 and their-signs 3.0."
    )


def test_the_exit_code_says_whether_something_is_missing(project: Path, change: Change) -> None:
    runner = CliRunner()
    right = runner.invoke(app, ["plugin", "check", str(project)])
    assert right.exit_code == 0, right.output
    assert "nothing required is missing, 3 to think about." in right.output
    assert runner.invoke(app, ["plugin", "check", str(project), "--strict"]).exit_code == 1
    change("pyproject.toml", 'license = "Apache-2.0"\n', "")
    wrong = runner.invoke(app, ["plugin", "check", str(project)])
    assert wrong.exit_code == 1
    assert "1 required thing is missing" in wrong.output
