"""Losses that plugins bring: of images, latents, vectors and regions, whatever the tokenizer's output has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Protocol

from pydantic import PositiveFloat
from torch import Tensor

from insighttok_ref.schema import ComponentUse
from insighttok_ref.tokenizers.base import TokenizerOutput
from regionloss.hooks.catalogue import catalogue
from regionloss.regions import Regions


class ExtraLoss(Protocol):
    """What `register_losses` registers: built from its options once, called with every batch."""

    def __call__(self, output: TokenizerOutput, target: Tensor, regions: Mapping[str, Regions]) -> Tensor:
        """Return a loss, 0-d; arguments as for `Objective`."""


class ExtraOptions(ComponentUse):
    """A loss beside the others.

    Args:
        use: A registered loss by name.
        weight: What it is multiplied by in the total.
        options: Options of its constructor.
    """

    kind: ClassVar[str] = "loss"

    weight: PositiveFloat = 1.0


def build_extra(uses: Mapping[str, ExtraOptions]) -> dict[str, ExtraLoss]:
    """Return the losses by the names that the log has."""
    return {name: catalogue().build("loss", use.use, use.options) for name, use in uses.items()}
