"""Which pictures are for the test and which are shown: what must hold, over many random folders."""

from __future__ import annotations

import random

import pytest

from insighttok_ref.data.split import held_out, rare_first


def folder(seed: int) -> list[set[str]]:
    """Return kinds by picture: one that many have, one that few have."""
    draw = random.Random(seed)
    share = {"text": draw.random(), "face": 0.2 * draw.random(), "hands": 0.1 * draw.random()}
    return [{kind for kind, chance in share.items() if draw.random() < chance} for _ in range(draw.randint(2, 60))]


@pytest.mark.parametrize("seed", range(200))
def test_a_kind_that_two_pictures_have_is_trained_on_and_tested(seed: int) -> None:
    kinds = folder(seed)
    test = held_out(kinds)
    train = [own for number, own in enumerate(kinds) if number not in test]
    assert train
    assert 0 <= len(test) - max(1, round(len(kinds) / 10)) <= 3
    for kind in ("text", "face", "hands"):
        count, tested = sum(kind in own for own in kinds), sum(kind in kinds[i] for i in test)
        assert count < 2 or 0 < tested < count or not shared(kinds, kind)
        assert count != 1 or tested == 0 or len(kinds) == 2


def shared(kinds: list[set[str]], kind: str) -> bool:
    """Whether a picture has a kind, and none that it alone has."""
    alone = {one for one in ("text", "face", "hands") if sum(one in own for own in kinds) == 1}
    return any(kind in own and not own & alone for own in kinds)


def test_the_first_tenth_stays_where_it_has_every_kind() -> None:
    assert held_out([{"text"}] * 30) == [0, 1, 2]
    assert held_out([set()] * 7) == [0]
    assert held_out([{"text"}, {"text"}, *[set()] * 18, {"face"}, {"face"}]) == [0, 20]
    assert held_out([{"face"}, *[{"text"}] * 9]) == [1]  # the one face is trained on
    assert held_out([{"face"}, {"text"}]) == [0]  # nothing else is there


def test_a_rare_kind_is_shown_first_and_all_are_shown_in_the_end() -> None:
    kinds = [set[str]()] + [{"text"}] * 40 + [{"face"}, {"text", "hands"}, {"face"}]
    assert rare_first(kinds)[:6] == [42, 41, 1, 43, 2, 3]
    assert sorted(rare_first(kinds)) == list(range(44))
    assert rare_first(kinds)[-1] == 0
