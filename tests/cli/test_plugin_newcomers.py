"""`regionloss plugin new`, and what newcomers put into its two classes: the tests that it writes hold for all of it."""

from __future__ import annotations

from pathlib import Path

from regionloss.testing.check.check import findings_of
from regionloss.testing.check.findings import ADVICE, MISSING, OK
from regionloss.testing.check.texts import readme_findings, replace_findings
from regionloss.testing.projects import read_project
from regionloss.testing.template import write_plugin
from tests.cli.test_plugin_new import typed

#: What follows the detector's class: `found` gives boxes for the two pictures, and what else the regions have.
DETECTOR = '''
"""Images -> regions."""

import torch
from regionloss import Regions


class ColourDetector:
    """Finds the same boxes in every image that is not flat."""

    kind, version = "signs", "1"

    def detect(self, images):
        """Return them."""
        height, width = images.shape[2:]
        lively = [i for i, image in enumerate(images) if float(image.std(correction=0)) > 0]
        own = torch.tensor({boxes}, dtype=torch.float32).view(-1, 4) if min(height, width) > 9 else torch.zeros(0, 4)
        boxes, index = own.repeat(len(lively), 1), torch.tensor(lively, dtype=torch.int64).repeat_interleave(len(own))
        return Regions(self.kind, boxes, index, (height, width), len(images), **self.more(boxes))

    def more(self, boxes):
        return {more}
'''
CORNERS = '{"keypoints": torch.stack([boxes[:, :2], boxes[:, 2:], boxes[:, [0, 3]]], 1)}'
#: With fractions, at the border, below a pixel.
BOXES = "[[12.3, 8.6, 60.4, 31.7], [0, 0, 96, 64], [0.5, 40.25, 20.75, 64], [70.25, 8.25, 70.75, 8.75]]"


def put(folder: Path, file: str, *changes: tuple[str, str]) -> None:
    path = folder / file
    text = path.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


def filled(tmp_path: Path, boxes: str, more: str) -> Path:
    """Return a new plugin with this detector, whose tests of numbers are the newcomer's own."""
    folder, _, _ = write_plugin("signs", tmp_path)
    written = DETECTOR.replace("{boxes}", boxes).replace("{more}", more)
    (folder / "src/regionloss_signs/detector.py").write_text(written)
    (folder / "tests/test_numbers.py").unlink()
    return folder


def test_the_tests_hold_for_any_boxes_with_scores_and_keypoints(tmp_path: Path) -> None:
    folder = filled(tmp_path, BOXES, CORNERS.replace("{", '{"scores": boxes[:, 0] / 100, '))
    tests = typed("-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", folder=folder)
    assert tests.returncode == 0, tests.stdout


def test_the_tests_hold_for_aligned_crops(tmp_path: Path) -> None:
    """Which read what lies around a box; the kind has the keypoints by which they are cut."""
    folder = filled(tmp_path, BOXES, CORNERS)
    aligned = '{"size": [64, 64], "template": [[0, 0], [64, 64], [0, 64]]}'
    put(
        folder,
        "src/regionloss_signs/plugin.py",
        ('extractor="letterbox"', 'extractor="aligned"'),
        ('{"size": [64, 64]}', aligned),
        ('summary="one of signs"', 'summary="a sign", keypoints=("top", "end", "low")'),
    )
    tests = typed("-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", folder=folder)
    assert tests.returncode == 0, tests.stdout
    assert not [finding for finding in findings_of(folder) if finding.state == MISSING]


def test_a_readme_with_the_template_s_words_is_not_ok(tmp_path: Path) -> None:
    folder, _, _ = write_plugin("signs", tmp_path)
    (said,) = readme_findings(read_project(folder), [])
    assert said.state == ADVICE
    assert said.sentence.startswith("it describes the template's placeholders.")
    (left,) = replace_findings(read_project(folder))
    assert " README.md:19" in left.sentence
    put(folder, "README.md", ("<!-- REPLACE:", "<!-- Measured:"))
    (said,) = readme_findings(read_project(folder), [])
    assert said.state == OK
