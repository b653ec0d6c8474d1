"""Several distances of a recipe, by their names, as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, model_validator

from regionloss.hooks.catalogue import catalogue
from regionloss.recipe.options import check_part
from regionloss.recipe.schema import DistanceUse

if TYPE_CHECKING:
    from regionloss.distances.weighted_sum import WeightedSum


class KnownDistance(DistanceUse):
    """A distance that is registered, with options that it has."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        check_part("distance", self.name, self.options)
        return self


def weighted_sum(parts: Annotated[Sequence[KnownDistance], Field(min_length=1)]) -> WeightedSum:
    """Return the sum of several distances.

    Args:
        parts: Names of distances, each with its weight and options.
    """
    from regionloss.distances.weighted_sum import WeightedSum

    known = catalogue()
    return WeightedSum([(part.weight, known.build("distance", part.name, part.options)) for part in parts])
