"""Orders: each sample once an epoch, shares exact, shards near one another; counted, not compared with themselves."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from fractions import Fraction

import pytest

from regionloss.data.batches.order import Interleave, ShardOrder, apportioned
from regionloss.errors import InputError

UNEVEN = [
    [0.9994, 0.0006],
    [0.9996, 0.0004],
    [1.0, 1.0, 1.0],
    [5.0, 3.0],
    [0.5, 0.4991, 0.0005, 0.0004],
    [7, 2.5, 0.03],
]


def test_each_source_gives_its_samples_in_order_and_none_twice() -> None:
    order = Interleave([0.7, 0.2, 0.1], seed=3, block=50)
    drawn = [order.at(position) for position in range(500)]
    for source in range(3):
        numbers = [number for at, number in drawn if at == source]
        assert numbers == list(range(len(numbers)))


def test_shares_are_exact_in_each_block_and_the_order_differs() -> None:
    order = Interleave([0.7, 0.2, 0.1], seed=3, block=50)
    blocks = [[order.at(b * 50 + i)[0] for i in range(50)] for b in range(6)]
    assert all(Counter(block) == {0: 35, 1: 10, 2: 5} for block in blocks)
    assert len({tuple(block) for block in blocks}) == 6
    assert blocks[0] != [Interleave([0.7, 0.2, 0.1], seed=4, block=50).at(i)[0] for i in range(50)]


def test_positions_may_be_asked_for_in_any_order() -> None:
    weights = [5.0, 3.0]
    forth, back = Interleave(weights, 0, 16), Interleave(weights, 0, 16)
    assert [forth.at(p) for p in range(99)] == [back.at(p) for p in reversed(range(99))][::-1]


@pytest.mark.parametrize("weights", UNEVEN)
def test_any_share_is_kept_to_within_one_draw_in_the_long_run(weights: list[float]) -> None:
    """Against exact fractions of what was written; each source's samples come in order, none left out."""
    order = Interleave(weights, seed=2)
    shares = [Fraction(str(weight)) / sum(Fraction(str(other)) for other in weights) for weight in weights]
    assert min(shares) * order.block >= 1
    counts = [0] * len(weights)
    for position in range(12 * order.block):
        source, number = order.at(position)
        assert number == counts[source]
        counts[source] += 1
        if (position + 1) % order.block == 0:
            wanted = [share * (position + 1) for share in shares]
            assert all(abs(count - quota) < 1 for count, quota in zip(counts, wanted, strict=True))


@pytest.mark.parametrize("weights", UNEVEN)
def test_a_far_position_needs_none_of_those_before_it(weights: list[float]) -> None:
    order, other, far = Interleave(weights, seed=2), Interleave(weights, seed=2), 10**9
    forth = [order.at(position) for position in range(3 * order.block)]
    places = random.Random(0).sample(range(len(forth)), 50)
    assert [other.at(place) for place in places] == [forth[place] for place in places]
    source, number = order.at(far)
    share = Fraction(str(weights[source])) / sum(Fraction(str(weight)) for weight in weights)
    assert abs(number - far * share) < order.block


@pytest.mark.parametrize(
    ("weights", "digest"),
    [([0.3, 0.6, 0.1], "c4ec076b8b0d58d5"), ([0.7, 0.3], "7d9c40a320fb9c6b"), ([3, 1], "b58e4fe02c1876cb")],
)
def test_orders_of_shares_that_divide_a_block_are_what_they_were(weights: list[float], digest: str) -> None:
    """Recorded before remainders were carried: the recipes' mixtures go on as runs of old left them."""
    order = Interleave(weights, 5)
    drawn = repr([order.at(position) for position in range(3500)])
    assert hashlib.sha256(drawn.encode()).hexdigest()[:16] == digest


@pytest.mark.parametrize("weights", [[1, 1, 1], [0.5, 0.3, 0.2], [7, 2, 2, 1]])
def test_apportionment_is_the_largest_remainder_method(weights: list[float]) -> None:
    """Hamilton's method by exact fractions: floors, then one more for the largest remainders."""
    for places in (10, 100, 101):
        quotas = [Fraction(w).limit_denominator() / sum(Fraction(v).limit_denominator() for v in weights) * places
                  for w in weights]  # fmt: skip
        counts = apportioned(weights, places)
        assert sum(counts) == places
        assert all(0 <= count - int(quota) <= 1 for count, quota in zip(counts, quotas, strict=True))
        raised = [q - int(q) for q, c in zip(quotas, counts, strict=True) if c > int(q)]
        left = [q - int(q) for q, c in zip(quotas, counts, strict=True) if c == int(q)]
        assert not raised or not left or min(raised) >= max(left) - Fraction(1, 10**6)


@pytest.mark.parametrize("weights", [[], [1.0, 0.0], [1.0, -1.0], [1.0, float("inf")], [1.0, 1e-7]])
def test_weights_without_a_share_are_refused(weights: list[float]) -> None:
    with pytest.raises(InputError, match="mix: expected"):
        Interleave(weights, 0)


@pytest.mark.parametrize("lengths", [[5], [3, 4, 5, 1, 2, 8, 3], [0, 3, 0, 0, 2, 0], [1] * 30])
def test_an_epoch_holds_every_sample_of_every_shard_once(lengths: list[int]) -> None:
    order = ShardOrder(lengths, seed=1, window=3)
    everything = sorted((shard, place) for shard, length in enumerate(lengths) for place in range(length))
    epochs = [[order.at(epoch * len(order) + i) for i in range(len(order))] for epoch in range(3)]
    assert [sorted(epoch) for epoch in epochs] == [everything] * 3
    if len(order) > 4:
        assert epochs[0] != epochs[1]


def test_few_shards_are_read_at_once() -> None:
    order = ShardOrder([10] * 20, seed=0, window=4)
    for window in range(5):
        assert len({order.at(window * 40 + i)[0] for i in range(40)}) == 4
    assert len({order.at(i)[0] for i in range(8)}) > 1


def test_shards_without_images_are_refused() -> None:
    with pytest.raises(InputError, match="one image at least"):
        ShardOrder([0, 0], seed=0)
