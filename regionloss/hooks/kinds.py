"""Kinds of regions are words that plugins share: whoever registers one has to mean the same keypoints."""

from __future__ import annotations

from collections.abc import Sequence

from regionloss.errors import PluginError
from regionloss.hooks.records import RegionKind, owners


def agreed(name: str, kinds: Sequence[RegionKind]) -> RegionKind:
    """Return what all registrations of one kind say.

    One that states no keypoints leaves them to the others: a plugin that finds boxes works alone, and beside one that
    finds keypoints.

    Args:
        name: Name of the kind.
        kinds: One or more registrations of it.

    Raises:
        PluginError: Two of them state different keypoints or flip pairs.
    """
    stated = [kind for kind in kinds if kind.keypoints]
    for other in stated[1:]:
        first, what = stated[0], ""
        if other.keypoints != first.keypoints:
            what = f"keypoints ({len(first.keypoints)} and {len(other.keypoints)})"
        elif _pairs(other) != _pairs(first):
            what = "flip pairs"
        if what:
            advice = "Use one of the two, or ask their authors to agree; another kind needs another name."
            distributions = owners([first, other])
            raise PluginError(f"region kind '{name}' has different {what} in {distributions}. {advice}")
    return (stated or kinds)[0]


def _pairs(kind: RegionKind) -> set[frozenset[int]]:
    return {frozenset(pair) for pair in kind.flip_pairs}
