"""Which pictures of a folder are kept for the test: a tenth, with every kind of region where that can be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from regionloss.data.annotate import Annotated

TEST_SHARE = 0.1


def kinds_of(picture: Annotated) -> set[str]:
    """Return the kinds of the regions that a picture has."""
    return {kind for kind, regions in picture.regions.items() if len(regions)}


def held_out(kinds: Sequence[Collection[str]]) -> list[int]:
    """Return the pictures that are kept for the test, by number, in order.

    These are the first tenth (one at least). A kind that two pictures or more have is on one of them, and on one that
    is trained on; a kind that one picture has is trained on.

    Args:
        kinds: Kinds of each picture's regions, in a random order of the pictures.
    """
    left, chosen = Counter(kind for own in kinds for kind in own), set[int]()

    def take(wanted: Sequence[int]) -> None:
        number = next((i for i in wanted if all(left[kind] > 1 for kind in kinds[i])), None)
        if number is not None:
            chosen.add(number)
            left.subtract(kinds[number])

    for kind in sorted(left, key=lambda kind: (left[kind], kind)):
        if not any(kind in kinds[i] for i in chosen):
            take([i for i, own in enumerate(kinds) if kind in own])
    wanted = max(1, round(TEST_SHARE * len(kinds)))
    while len(chosen) < wanted and (rest := [i for i in range(len(kinds)) if i not in chosen]):
        before = len(chosen)
        take(rest)
        if len(chosen) == before:  # each is the last of some kind
            chosen.update(rest[: wanted - before])
    return sorted(chosen)


def rare_first(kinds: Sequence[Collection[str]]) -> list[int]:
    """Return all pictures by number: in turns one of each kind, the rarest first, then those without any region."""
    counts = Counter(kind for own in kinds for kind in own)
    turns = sorted(counts, key=lambda kind: (counts[kind], kind))
    queues = {kind: [i for i, own in enumerate(kinds) if kind in own] for kind in turns}
    rounds = (queues[kind][turn] for turn in range(len(kinds)) for kind in turns if turn < len(queues[kind]))
    return list(dict.fromkeys([*rounds, *range(len(kinds))]))
