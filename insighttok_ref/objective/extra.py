"""Losses that plugins bring: of images, latents, vectors and regions, whatever the tokenizer's output has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, PositiveFloat, model_validator
from torch import Tensor

from insighttok_ref.tokenizers.base import TokenizerOutput
from regionloss.hooks.catalogue import catalogue
from regionloss.recipe import check_part
from regionloss.regions import Regions


class ExtraLoss(Protocol):
    """What `register_losses` registers: built from its options once, called with every batch."""

    def __call__(self, output: TokenizerOutput, target: Tensor, regions: Mapping[str, Regions]) -> Tensor:
        """Return a loss, 0-d; arguments as for `Objective`."""


class ExtraOptions(BaseModel):
    """A loss beside the others.

    Args:
        use: A registered loss by name.
        weight: What it is multiplied by in the total.
        options: Options of its constructor.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    use: str
    weight: PositiveFloat = 1.0
    options: Mapping[str, Any] = {}

    @model_validator(mode="after")
    def _known(self) -> ExtraOptions:
        check_part("loss", self.use, self.options)
        return self


def build_extra(uses: Mapping[str, ExtraOptions]) -> dict[str, ExtraLoss]:
    """Return the losses by the names that the log has."""
    return {name: catalogue().build("loss", use.use, use.options) for name, use in uses.items()}
