"""`regionloss plugin check` says when a detector was not exercised, and takes pictures from the project's tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from regionloss.cli.main import app
from regionloss.testing.check.check import findings_of
from regionloss.testing.check.findings import ADVICE, MISSING, OK, Finding, print_findings
from regionloss.testing.template import write_plugin

DETECTOR = """
import torch
from regionloss import Regions


class ColourDetector:
    \"\"\"Finds one box in an image whose corner is {what}.\"\"\"

    kind = "signs"
    version = "1"

    def __init__(self, threshold: float = 0.5):
        self.threshold = threshold

    def detect(self, images):
        index = [i for i, image in enumerate(images) if image.shape[1] > 1 and {test}]
        boxes = torch.tensor([[{box}]] * len(index)).view(-1, 4)
        return Regions(self.kind, boxes, torch.tensor(index, dtype=torch.int64), tuple(images.shape[2:]), len(images))
"""
GREY_WITH_RED = "image[0, 0, 0] == 0 and image[0, 8, 12] == 1"  # as in the template's pictures, never in noise
INSIDE, OUTSIDE, ACROSS = "0.0, 0, 9, 9", "196.0, 164, 200, 170", "90.0, 60, 99, 70"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A new plugin, in which nothing is missing."""
    return write_plugin("signs", tmp_path)[0]


def found(project: Path, test: str, box: str) -> list[Finding]:
    """What the check says of a detector, beside that it is documented."""
    file = project / "src" / "regionloss_signs" / "detector.py"
    file.write_text(DETECTOR.format(what="grey", test=test, box=box))
    return [f for f in findings_of(project) if f.part == "detector 'colour'"][1:]


def test_the_pictures_of_the_projects_own_test_are_used(project: Path) -> None:
    kept = "it keeps its contract (DetectorContract, 6 tests), on the pictures of tests/test_contracts.py"
    assert found(project, GREY_WITH_RED, INSIDE) == [Finding(OK, "detector 'colour'", kept)]


@pytest.mark.parametrize("box", [OUTSIDE, ACROSS])
@pytest.mark.parametrize("test", [GREY_WITH_RED, "image.std() > 0.01"])
def test_boxes_outside_the_image_are_found(project: Path, test: str, box: str) -> None:
    wrong = found(project, test, box)
    assert {f.state for f in wrong} == {MISSING}
    assert "DetectorContract.test_regions_of_the_kind_inside_the_images" in "".join(f.sentence for f in wrong)


def test_who_never_finds_anything_is_told_so(project: Path) -> None:
    (line,) = found(project, "False", INSIDE)
    assert line.state == ADVICE
    assert line.sentence == (
        "it found nothing in the pictures of tests/test_contracts.py, so most tests of DetectorContract were empty. "
        "Give tests/test_contracts.py images() in which it finds some."
    )


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("import torch", "from .elsewhere import x", "ImportError: attempted relative import"),
        ("import torch", "import pytest\npytest.skip('not here', allow_module_level=True)", "Skipped: not here"),
        ("        return pictures()", "        raise OSError('no disk')", "OSError: no disk"),
        ("    def images(self)", "    def photos(self)", ""),
    ],
)
def test_pictures_that_cannot_be_had_are_said(project: Path, old: str, new: str, reason: str) -> None:
    file = project / "tests" / "test_contracts.py"
    file.write_text(file.read_text().replace(old, new, 1))
    (line,) = found(project, GREY_WITH_RED, INSIDE)
    assert line.state == ADVICE
    assert line.sentence.startswith("it found nothing in the check's pictures, so most tests of DetectorContract")
    assert (f"empty (tests/test_contracts.py could not be used: {reason}" in line.sentence) == bool(reason)


def test_a_finished_plugin_without_weights_passes_the_strict_check(project: Path) -> None:
    """Whoever replaced what is marked has nothing to do in the table of weight files, which stays empty."""
    path = project / "pyproject.toml"
    path.write_text(path.read_text().replace("[project]", '[project]\nauthors = [{ name = "A" }]'))
    for file in [*(project / "src").rglob("*.py"), *(project / "tests").glob("*.py"), project / "README.md"]:
        file.write_text(file.read_text().replace("REPLACE:", "Mine:"))
    result = CliRunner().invoke(app, ["plugin", "check", str(project), "--strict"], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert result.output.endswith("nothing required is missing.\n")
    assert "they are there (not run), with the contracts of backbone, detector" in result.output


@pytest.mark.parametrize(
    ("count", "sentence"),
    [(0, "nothing required is"), (1, "1 required thing is"), (2, "2 required things are")],
)
def test_the_last_line_counts_in_words(count: int, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert print_findings([Finding(MISSING, "part", "x")] * count) == (count > 0)
    assert capsys.readouterr().out.endswith(f"{sentence} missing.\n")
