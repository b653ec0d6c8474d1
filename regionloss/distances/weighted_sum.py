"""Several distances in one term."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from regionloss.distances.base import LEVELS, Distance, Features, source_of
from regionloss.errors import InputError, expected
from regionloss.limits import number_of


class WeightedSum:
    """`sum_k v_k d_k`: several distances with a weight each. The network is called once, whatever they compare.

    Args:
        parts: Pairs of a weight, 0 or more, and a distance.

    Raises:
        InputError: No parts, or such that are not pairs of a weight and a distance.

    Example:
        >>> import torch
        >>> from regionloss.distances import L1, SquaredL2
        >>> both = WeightedSum([(1.0, SquaredL2()), (0.5, L1())])
        >>> both((torch.full((1, 8), 2.0),), (torch.zeros(1, 8),))
        tensor([40.])
    """

    def __init__(self, parts: Sequence[tuple[float, Distance]]) -> None:
        if not isinstance(parts, Sequence) or not parts or not all(map(_is_part, parts)):
            raise InputError(expected("parts", "pairs of a weight and a distance, one or more", repr(parts)[:60]))
        for weight, _ in parts:
            number_of(weight, "parts", "weights of 0 or more", 0, 1e30)
        self.parts = tuple(parts)

    def __call__(self, features: Features, target_features: Features) -> Tensor:
        """Return (R,) distances of levels (R, C, ...), for parts that all compare those."""
        for _, part in parts_of(self):
            if source_of(part) != LEVELS:
                raise InputError(expected("weighted-sum", "distances of levels", f"one of its {source_of(part)}"))
        weighted = [weight * part(features, target_features) for weight, part in parts_of(self)]
        return sum(weighted[1:], start=weighted[0])


def _is_part(pair: object) -> bool:
    return isinstance(pair, tuple | list) and len(pair) == 2 and isinstance(pair[1], Distance)


def parts_of(distance: Distance, factor: float = 1.0) -> Iterator[tuple[float, Distance]]:
    """Yield the distances of a sum with their weights, those of sums inside too; one that is no sum counts once."""
    if not isinstance(distance, WeightedSum):
        yield factor, distance
        return
    for weight, part in distance.parts:
        yield from parts_of(part, factor * weight)
