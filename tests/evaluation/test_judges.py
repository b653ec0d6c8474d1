"""Judges of an evaluation: by name and path, all that is missing at once, never what was trained against."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from regionloss.errors import InputError, UnknownNameError, WeightsError
from regionloss.evaluation.judges import default_judges, judges_of, trained_against
from regionloss.hooks.catalogue import Catalogue, build_catalogue

SOURCE = """
from regionloss import hookimpl
from regionloss.errors import WeightsError


class Reader:
    kind = "text"

    def __init__(self, weights: str = "own") -> None:
        if weights == "absent":
            raise WeightsError("weights 'absent' not found.")
        self.weights_sha256 = f"hash of {weights}"

    def judge(self, images, regions):
        return []


class Lost(Reader):
    def __init__(self) -> None:
        super().__init__("absent")


@hookimpl
def register_judges(register):
    register("reader", "readers:Reader", summary="s")
    register("lost", "readers:Lost", summary="s")
"""


@pytest.fixture
def where(tmp_path: Path) -> Catalogue:
    (tmp_path / "readers.py").write_text(SOURCE)
    return build_catalogue([], [tmp_path / "readers.py"])


def test_names_stand_for_judges_and_a_path_for_their_weights(where: Catalogue) -> None:
    judges = judges_of(["reader"], where, {})
    assert {name: judge.weights_sha256 for name, judge in judges.items()} == {"readers/reader": "hash of own"}
    (judge,) = judges_of(["readers/reader=some/file.pt"], where, {}).values()
    assert judge.weights_sha256 == "hash of some/file.pt"
    with pytest.raises(UnknownNameError, match="no judge is named 'redaer'"):
        judges_of(["redaer"], where, {})


def test_all_that_is_missing_is_named_at_once(where: Catalogue) -> None:
    with pytest.raises(WeightsError) as error:
        judges_of(["reader", "lost", "readers/reader=absent"], where, {})
    assert str(error.value).splitlines() == ["weights 'absent' not found."] * 2


def test_what_was_trained_against_does_not_judge_unless_told(where: Catalogue) -> None:
    trained = {"hash of own": "text/some-network"}
    said = (
        "judge 'readers/reader': expected a network that the loss is not computed with, got 'text/some-network', which"
    )
    with pytest.raises(InputError, match=said):
        judges_of(["reader"], where, trained)
    assert judges_of(["reader"], where, {})
    assert judges_of(["reader=other"], where, trained)


def test_what_a_run_was_trained_against_is_found_from_its_files(tmp_path: Path) -> None:
    weights = [{"name": "text/english-g2", "sha256": "ab" * 32}, {"name": "without a hash", "sha256": ""}]
    parts = [{"kind": "backbone", "weights": weights}, {"kind": "judge", "weights": [{"name": "j", "sha256": "cd"}]}]
    resolved, wanted = {"components": parts}, {"ab" * 32: "text/english-g2"}
    part = tmp_path / "run" / "compare" / "ours"
    part.mkdir(parents=True)
    assert trained_against(part / "tokenizer.safetensors") == {}
    (tmp_path / "run" / "resolved.yaml").write_text(yaml.safe_dump(resolved))
    for place in (part / "tokenizer.safetensors", part, tmp_path / "run", tmp_path / "run" / "tokenizer.safetensors"):
        assert trained_against(place) == wanted
    (tmp_path / "run" / "resolved.yaml").unlink()
    (part / "resolved.json").write_text(json.dumps(resolved))
    assert trained_against(part / "tokenizer.safetensors") == wanted
    (part / "resolved.json").write_text("[]")
    assert trained_against(part) == {}
    assert trained_against(None) == {}


@pytest.mark.weights
def test_without_a_choice_two_readers_judge_and_who_was_trained_against_gives_way() -> None:
    where = build_catalogue()
    judges, notes = default_judges(["text", "face", "general"], where, {})
    assert (list(judges), notes) == (["text/ppocr-v6", "text/tesseract", "face/faceres"], [])
    against = {judges["face/faceres"].weights_sha256: "face/faceres"}
    others, notes = default_judges(["face"], where, against)
    assert list(others) == ["face/dlib"]
    assert [note.partition(":")[0] for note in notes] == ["No judge face/faceres"]
    against |= {others["face/dlib"].weights_sha256: "face/dlib-resnet"}
    with pytest.raises(WeightsError, match="--suite face: no judge is here"):
        default_judges(["face"], where, against)
