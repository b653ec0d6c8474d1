"""Distances in a recipe: one by name with options, or a list of several with weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import regionloss as rl
from regionloss.distances import L1, Cosine, Gram, WeightedSum
from regionloss.distances.weighted_sum import parts_of
from regionloss.hooks.catalogue import catalogue
from regionloss.recipe import load_terms_file, resolved

BASE = "version: 1\nterms:\n  t: {use: region-st-lpips, kind: text, weight: 1, distance: %s}\n"


def written(folder: Path, distance: str) -> Path:
    path = folder / "terms.yaml"
    path.write_text(BASE % distance)
    return path


SEVERAL = "[{name: l1}, {name: cosine, weight: 40, options: {of: levels}}, {name: gram, weight: 0}]"


@pytest.mark.weights
def test_several_distances_are_a_list(tmp_path: Path) -> None:
    """What a run writes beside its checkpoints is a recipe of the same term."""
    path = written(tmp_path, SEVERAL)
    again = tmp_path / "again.yaml"
    again.write_text(yaml.safe_dump(resolved(load_terms_file(path))["recipe"]))
    for file in (path, again):
        distance = rl.load_terms(file)["t"].loss.distance
        assert isinstance(distance, WeightedSum)
        parts = list(parts_of(distance))
        assert [(weight, type(part)) for weight, part in parts] == [(1, L1), (40, Cosine), (0, Gram)]
        assert parts[1][1].of == "levels"


def test_each_is_registered_by_its_name() -> None:
    known = {one.name for one in catalogue().components("distance") if one.plugin == "core"}
    assert known == {"squared-l2", "normalised-l2", "l1", "cosine", "gram", "kl", "ctc", "weighted-sum"}
    for name in known - {"weighted-sum"}:
        assert callable(catalogue().build("distance", name))


@pytest.mark.weights
def test_a_backbone_without_the_head_is_a_sentence_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(rl.RegionLossError, match=r"terms\.yaml:3: terms\.t: distance \(Cosine\): expected a backbone "):
        rl.load_terms(written(tmp_path, "cosine"))


@pytest.mark.parametrize(
    ("distance", "sentence"),
    [
        ("[{name: l2}]", r"terms\.yaml:3: terms\.t\.distance\.0: no distance is named 'l2'\. Known: cosine, "),
        ("[{name: l1, options: {off: levels}}]", r"terms\.t\.distance.*expected a known key, got 'off'"),
        (
            "[{name: l1, weight: -1}]",
            r"terms\.t\.distance.*weight: expected a number greater than or equal to 0, got -1",
        ),
        ("[{name: l1, wieght: 1}]", r"terms\.t\.distance.*expected a known key, got 'wieght'\. Did you mean 'weight'"),
        ("[]", r"terms\.t\.distance.*expected at least 1 items, got \[\]"),
        ("[l1, cosine]", r"terms\.t\.distance.*expected a mapping"),
        ("{name: cosine, options: {of: vector, epz: 1}}", r"distance\.options\.epz: expected a known key"),
    ],
)
def test_mistakes_are_sentences(tmp_path: Path, distance: str, sentence: str) -> None:
    with pytest.raises(rl.RegionLossError, match=sentence):
        load_terms_file(written(tmp_path, distance))
