"""What the plugin registers, and that listing it stays cheap."""

from __future__ import annotations

import subprocess
import sys

import pytest
from regionloss_face.weight_files import WEIGHT_FILES

from regionloss.errors import WeightsError
from regionloss.hooks.catalogue import catalogue

COMPONENTS = [
    ("detector", "face/mtcnn"),
    ("detector", "face/retinaface"),
    ("backbone", "face/dlib-resnet"),
    ("backbone", "face/arcface-ir-se50"),
    ("backbone", "face/iresnet50"),
    ("judge", "face/faceres"),
    ("judge", "face/dlib"),
]


@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_components_name_registered_weights(kind: str, name: str) -> None:
    component = catalogue().find(kind, name)
    assert component.weights
    for weights in component.weights:
        assert catalogue().weight(weights).plugin == "face"


def test_face_stands_for_the_packaged_term() -> None:
    assert catalogue().term("face").canonical == "face/packaged"
    assert {term.name for term in catalogue().terms() if term.plugin == "face"} == {
        "packaged", "identity", "arcface-ir-se50", "paper",
    }  # fmt: skip


def test_names_have_no_dot_and_packaged_files_a_hash() -> None:
    """A name with a dot would be read as a path."""
    for name, facts in WEIGHT_FILES.items():
        assert "." not in name
        assert not facts.get("packaged") or (len(facts["sha256"]) == 64 and facts["size"] > 0)


def test_registration_imports_no_torch() -> None:
    code = "import sys, regionloss_face.plugin; assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", ["face/packaged", "face/paper"])
def test_missing_weights_are_a_sentence(name: str, monkeypatch, tmp_path) -> None:
    from regionloss import LossTerms

    monkeypatch.setenv("REGIONLOSS_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match=r"weights '[a-z0-9-]+' not found in"):
        LossTerms.from_names({name: 1.0})
