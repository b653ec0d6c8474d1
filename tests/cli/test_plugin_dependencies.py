"""`regionloss plugin check` against what a plugin imports: the fakes are real distributions on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from regionloss.testing.check.check import findings_of
from regionloss.testing.check.dependencies import dependency_findings
from regionloss.testing.check.findings import MISSING, OK, UNTRIED
from regionloss.testing.template import write_plugin


def found(tmp_path: Path, code: str, *stated: str, **extras: list[str]) -> list[tuple[str, str]]:
    (tmp_path / "detector.py").write_text(code)
    lines = dependency_findings([tmp_path / "detector.py"], ["regionloss_qr"], stated, extras)
    return [(finding.state, finding.sentence) for finding in lines]


@pytest.mark.parametrize(
    "code",
    [
        "import os, json.decoder\nfrom pathlib import Path",
        "import torch\nimport numpy as np\nfrom PIL import Image\nfrom regionloss.errors import expected",
        "import regionloss_qr.other\nfrom .detector import x\nfrom . import y",
        "try:\n    import cv2\nexcept ImportError:\n    cv2 = None",
        "try:\n    import cv2\nexcept (ModuleNotFoundError, OSError) as error:\n    raise RuntimeError from error",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import cv2",
        "import importlib\nimportlib.import_module(name)\nimportlib.import_module('.other', 'regionloss_qr')",
    ],
)
def test_what_comes_with_python_regionloss_or_may_be_absent_needs_no_declaration(code: str, tmp_path: Path) -> None:
    assert [state for state, _ in found(tmp_path, code)] == [OK]


@pytest.mark.parametrize(
    "code",
    [
        "import cv2",
        "import os, cv2.dnn as dnn",
        "from cv2 import dnn",
        "def detect():\n    import cv2",
        "class A:\n    def f(self):\n        if self:\n            from cv2.dnn import x",
        "import importlib\nimportlib.import_module('cv2')",
        "try:\n    x = 1\nfinally:\n    import cv2",
        "try:\n    import cv2\nexcept ValueError:\n    pass",
    ],
)
def test_what_is_imported_and_not_declared_is_missing(code: str, tmp_path: Path) -> None:
    """Wherever it is imported; any distribution of those that bring it serves, also in an extra."""
    ((state, sentence),) = found(tmp_path, code, "regionloss>=0.1", "numpy")
    assert state == MISSING
    assert sentence.startswith("detector.py:")
    assert "imports cv2, which no dependency brings. Add 'opencv-python" in sentence
    assert found(tmp_path, code, "OpenCV_Python-headless>=4; python_version > '3'")[0][0] == OK
    assert found(tmp_path, code, cv=["opencv-python>=4"])[0][0] == OK
    assert found(tmp_path, code, "opencv-python; python_version < '3'")[0][0] == MISSING


def test_what_a_dependency_brings_is_brought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what it brings by an extra; and what is not installed here may bring anything."""
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, needs in (("outer", 'Requires-Dist: inner; extra == "all"'), ("inner", "")):
        info = tmp_path / f"{name}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n{needs}\n")
        (info / "top_level.txt").write_text(f"{name}_module\n")
    code = "import inner_module"
    assert found(tmp_path, code, "outer[all]")[0][0] == OK
    assert found(tmp_path, code, "outer")[0] == (
        MISSING,
        "detector.py:1 imports inner_module, which no dependency brings. Add 'inner' to dependencies in pyproject.toml,"
        " or to an extra that the component names.",
    )
    assert found(tmp_path, "import nobody_knows", "somewhere-else")[0][0] == UNTRIED


def test_the_check_of_a_project_names_what_its_code_imports(tmp_path: Path) -> None:
    folder, _, _ = write_plugin("qr", tmp_path)
    detector = folder / "src" / "regionloss_qr" / "detector.py"
    detector.write_text(detector.read_text().replace("import torch\n", "import cv2\nimport torch\n", 1))
    (line,) = (finding for finding in findings_of(folder) if finding.part == "dependencies")
    assert line.state == MISSING
    assert line.sentence.startswith("detector.py:5 imports cv2, which no dependency brings.")


def test_a_package_that_is_not_there_is_named_in_the_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To install the plugin again would not bring it."""
    from regionloss.errors import PluginError
    from regionloss.hooks.records import Component
    from regionloss.hooks.targets import load_target

    (tmp_path / "qr_code.py").write_text("import nobody_has_this.part")
    monkeypatch.syspath_prepend(str(tmp_path))
    component = Component(
        name="boxes", plugin="qr", distribution="regionloss-qr", version="1", kind="detector", target="qr_code:Boxes",
        licence="MIT", summary="boxes",
    )  # fmt: skip
    with pytest.raises(PluginError, match=r"Install the package that brings 'nobody_has_this'; regionloss-qr should"):
        load_target(component)
