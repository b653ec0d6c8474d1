"""What the plugin registers, and that listing it stays cheap."""

from __future__ import annotations

import subprocess
import sys

import pytest

from regionloss.errors import WeightsError
from regionloss.hooks.catalogue import catalogue

COMPONENTS = [("detector", "hands/mediapipe"), ("backbone", "hands/hand-landmark")]


@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_components_name_registered_weights(kind: str, name: str) -> None:
    component = catalogue().find(kind, name)
    assert component.weights
    for weights in component.weights:
        record = catalogue().weight(weights)
        assert (record.plugin, record.packaged, len(record.sha256)) == ("hands", True, 64)


def test_hands_stands_for_the_packaged_term() -> None:
    term = catalogue().term("hands")
    assert (term.canonical, term.kind) == ("hands/packaged", "hand")


def test_the_kind_has_21_keypoints_that_keep_their_places() -> None:
    """A mirrored left hand is a right hand; its thumb is a thumb."""
    kind = catalogue().region_kind("hand")
    assert (len(kind.keypoints), kind.flip_pairs) == (21, ())
    assert kind.keypoints[0] == "wrist"
    assert [kind.keypoints[n] for n in (5, 9, 13, 17)] == ["index_mcp", "middle_mcp", "ring_mcp", "pinky_mcp"]


def test_registration_imports_no_torch() -> None:
    code = "import sys, regionloss_hands.plugin; assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_missing_weights_are_a_sentence(monkeypatch, tmp_path) -> None:
    from regionloss import LossTerms

    monkeypatch.setenv("REGIONLOSS_HOME", str(tmp_path))
    with pytest.raises(
        WeightsError, match=r"weights 'hands/hand-landmark-full' not found in|weights '[a-z/-]+' not found"
    ):
        LossTerms.from_names({"hands": 1.0})
