"""Kinds of regions are words that plugins share; only keypoints that differ are a clash."""

from __future__ import annotations

from pathlib import Path

import pytest

from regionloss.errors import PluginError, UnknownNameError
from regionloss.hooks.catalogue import build_catalogue
from tests.disk_plugins import write_distribution

POINTS = "keypoints=['wrist', 'left', 'right']"


def plugins(site: Path, *registrations: str) -> object:
    """Return the catalogue of plugins `one`, `two`, ... that register kind `hand`, each in its words."""
    names = ("one", "two", "three")[: len(registrations)]
    for name, words in zip(names, registrations, strict=True):
        source = (
            "from regionloss.hooks import hookimpl\n@hookimpl\ndef register_region_kinds(register):\n"
            f"    register('hand', summary='of {name}', {words})\n"
        )
        write_distribution(site, name, source)
    return build_catalogue(names)


@pytest.mark.parametrize(
    "registrations",
    [
        ("", ""),
        (POINTS, POINTS),
        (f"{POINTS}, flip_pairs=[(1, 2)]", f"{POINTS}, flip_pairs=[(2, 1)]"),
        ("", f"{POINTS}, flip_pairs=[(1, 2)]"),
        (f"{POINTS}, flip_pairs=[(1, 2)]", "", f"{POINTS}, flip_pairs=[(1, 2)]"),
    ],
)
def test_plugins_that_mean_the_same_share_a_kind(site: Path, registrations: tuple[str, ...]) -> None:
    known = plugins(site, *registrations)
    assert known.clashes() == []
    kind = known.region_kind("hand")
    assert kind.keypoints == (("wrist", "left", "right") if any(registrations) else ())
    assert {frozenset(pair) for pair in kind.flip_pairs} == (
        {frozenset({1, 2})} if "flip" in str(registrations) else set()
    )
    assert [kind.name for kind in known.region_kinds()] == ["face", "hand", "text", "whole_image"]


@pytest.mark.parametrize(
    ("one", "two", "what"),
    [
        (POINTS, "keypoints=['wrist', 'thumb']", "keypoints (3 and 2)"),
        (f"{POINTS}, flip_pairs=[(1, 2)]", POINTS, "flip pairs"),
        (f"{POINTS}, flip_pairs=[(1, 2)]", f"{POINTS}, flip_pairs=[(0, 2)]", "flip pairs"),
    ],
)
def test_plugins_that_differ_are_named_to_who_uses_the_kind(site: Path, one: str, two: str, what: str) -> None:
    known = plugins(site, one, two)
    sentence = f"region kind 'hand' has different {what} in regionloss-one 1.0 and regionloss-two 1.0. Use one of"
    with pytest.raises(PluginError) as told:
        known.region_kind("hand")
    assert str(told.value).startswith(sentence)
    assert known.clashes() == [str(told.value)]
    assert known.region_kind("face").plugin == "core"
    assert "hand" not in {kind.name for kind in known.region_kinds()}


@pytest.mark.parametrize("name", ["one/hand", "hnad", "core/hand"])
def test_a_kind_has_a_bare_name_alone(site: Path, name: str) -> None:
    """`Regions.kind` is never `plugin/name`, so neither is what a recipe may say."""
    with pytest.raises(UnknownNameError) as told:
        plugins(site, "", "").region_kind(name)
    known = "Known: face, hand, text, whole_image."
    assert str(told.value) == f"no region kind is named '{name}'. Did you mean 'hand'? {known}"
