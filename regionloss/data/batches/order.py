"""Endless orders by arithmetic: which sample stands at a position is a function of the seed and the position alone."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate
from math import ceil

from regionloss.data.batches.random_streams import permutation, stream
from regionloss.errors import InputError, expected

LEAST_SHARE = Fraction(1, 1_000_000)


class Interleave:
    """Draws from weighted sources in blocks: after each block every share is kept to within one draw, for ever.

    What rounding leaves over is carried from block to block; within a block the order is a seeded one. The n-th draw
    of a source is its sample n, so that no sample of a source is passed over or drawn twice.

    Args:
        weights: Shares of the sources, any scale. They are taken as they are written: 0.1 is a tenth.
        seed: Seed of the order.
        block: Draws of a block. Where a source would get less than one, blocks are as many times longer as it needs.

    Raises:
        InputError: No weights, a weight that is not above 0, or a share below a millionth.

    Example:
        >>> [Interleave([3, 1], seed=0, block=4).at(p) for p in range(4)]
        [(0, 0), (0, 1), (1, 0), (0, 2)]
    """

    def __init__(self, weights: Sequence[float], seed: int, block: int = 1000) -> None:
        if not weights or not all(0 < weight < float("inf") for weight in weights):
            raise InputError(expected("mix", "one share at least, each above 0", str(list(weights))))
        exact = [Fraction(str(weight)) for weight in weights]
        self.shares = [weight / sum(exact) for weight in exact]
        least = min(self.shares)
        if least < LEAST_SHARE:
            advice = "Leave that source out."
            raise InputError(
                expected("mix", "shares of a millionth of the whole at least", f"{float(least):.2g}", advice)
            )
        self.seed, self.block = seed, block * ceil(1 / (least * block))
        self._kept: tuple[int, Sequence[int], Sequence[int]] = (-1, (), ())

    def at(self, position: int) -> tuple[int, int]:
        """Return the source of a position, and how many draws of that source came before."""
        block, place = divmod(position, self.block)
        if self._kept[0] != block:
            self._kept = (block, *self._draws(block))
        return self._kept[1][place], self._kept[2][place]

    def _draws(self, block: int) -> tuple[Sequence[int], Sequence[int]]:
        """Return the sources of a block's draws, and the numbers of their samples."""
        following, until = (apportioned(self.shares, end * self.block) for end in (block, block + 1))
        counts = [last - first for first, last in zip(following, until, strict=True)]
        sources = [source for source, count in enumerate(counts) for _ in range(count)]
        stream(self.seed, "interleave", block).shuffle(sources)
        numbers = array("q")
        for source in sources:
            numbers.append(following[source])
            following[source] += 1
        return sources, numbers


def apportioned(weights: Sequence[float | Fraction], places: int) -> list[int]:
    """Return how many of the places each weight gets, by the largest remainder: its quota, rounded down or up.

    A source whose quota grows by one or more from one number of places to another never gets fewer of the more.
    """
    total = sum(Fraction(weight) for weight in weights)
    quotas = [Fraction(weight) / total * places for weight in weights]
    counts = [int(quota) for quota in quotas]
    by_remainder = sorted(range(len(weights)), key=lambda i: (counts[i] - quotas[i], i))
    for i in by_remainder[: places - sum(counts)]:
        counts[i] += 1
    return counts


class ShardOrder:
    """All samples of all shards once an epoch, in another order each epoch, few shards at a time.

    Shards are shuffled; samples are shuffled within windows of a few shards, so that only those are read from at once.

    Args:
        lengths: Number of samples in each shard.
        seed: Seed of the order.
        window: Shards whose samples are mixed.

    Raises:
        InputError: No samples at all.

    Example:
        >>> order = ShardOrder([2, 3], seed=0)
        >>> sorted(order.at(n) for n in range(5))
        [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]
    """

    def __init__(self, lengths: Sequence[int], seed: int, window: int = 4) -> None:
        if sum(lengths) < 1:
            raise InputError(expected("shards", "one image at least", "none"))
        self.lengths, self.seed, self.window = list(lengths), seed, window
        self.total = sum(lengths)
        self._epoch: tuple[int, list[int], list[int]] = (-1, [], [])
        self._window: tuple[tuple[int, int], list[int]] = ((-1, -1), [])

    def __len__(self) -> int:
        return self.total

    def at(self, number: int) -> tuple[int, int]:
        """Return the shard of a draw, and the sample's place in the shard."""
        epoch, place = divmod(number, self.total)
        shards, ends = self._shuffled_shards(epoch)
        # Ends of shards that hold nothing coincide with others': the first one beyond the place is the place's.
        window = bisect_right(ends, place) // self.window
        first = window * self.window
        chosen = shards[first : first + self.window]
        start = ends[first - 1] if first else 0
        place = self._shuffled(epoch, window, ends[first + len(chosen) - 1] - start)[place - start]
        for shard in chosen:
            if place < self.lengths[shard]:
                return shard, place
            place -= self.lengths[shard]
        raise AssertionError("a place lies in one of its window's shards")

    def _shuffled_shards(self, epoch: int) -> tuple[list[int], list[int]]:
        """Return the shards in an epoch's order, and how many samples there are up to the end of each."""
        if self._epoch[0] != epoch:
            shards = permutation(self.seed, "shards", epoch, length=len(self.lengths))
            self._epoch = (epoch, shards, list(accumulate(self.lengths[shard] for shard in shards)))
        return self._epoch[1:]

    def _shuffled(self, epoch: int, window: int, length: int) -> list[int]:
        """Return the order of samples in a window of shards."""
        if self._window[0] != (epoch, window):
            self._window = ((epoch, window), permutation(self.seed, "window", epoch, window, length=length))
        return self._window[1]
