"""One total for the tokenizer's optimizer, every part logged by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, NonNegativeFloat
from torch import Tensor

from insighttok_ref.objective.reconstruction import edges, l1, l2
from insighttok_ref.tokenizer.model import TokenizerOutput
from regionloss.losses.terms import LossTerms
from regionloss.regions import Regions

PIXELS = {"l1": l1, "l2": l2, "edges": edges}


class ObjectiveOptions(BaseModel):
    """Weight of each part; a part of weight 0 is not computed. Region terms have theirs in the recipe's `terms`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    l1: NonNegativeFloat = 1.0
    l2: NonNegativeFloat = 0.0
    edges: NonNegativeFloat = 0.0
    commitment: NonNegativeFloat = 1.0  # times the quantizer's own beta


class Losses(NamedTuple):
    """The weighted sum, 0-d, and its parts before their weights, 0-d and by name."""

    total: Tensor
    parts: dict[str, Tensor]


class Objective:
    """total = sum_i w_i part_i over pixels and commitment, plus the region terms (InsightTok, eq. 3).

    Args:
        options: Weights of the parts.
        terms: Region terms with their weights; none for a phase without.
        watched: Region terms that are logged for comparison and trained by nothing.
    """

    def __init__(
        self, options: ObjectiveOptions, terms: LossTerms | None = None, watched: LossTerms | None = None
    ) -> None:
        self.options, self.terms, self.watched = options, terms, watched

    def __call__(
        self, output: TokenizerOutput, target: Tensor, regions: Mapping[str, Regions], step: int | None = None
    ) -> Losses:
        """Return the losses of a batch.

        Args:
            output: Of the tokenizer, for `target`.
            target: (B, 3, H, W) in [-1, 1].
            regions: Regions of the target by kind.
            step: Step of the phase, for terms that start late.
        """
        weights = self.options.model_dump()
        parts = {name: pixels(output.reconstruction, target) for name, pixels in PIXELS.items() if weights[name]}
        parts["commitment"] = output.commit_loss
        total = sum((weights[name] * value for name, value in parts.items()), output.commit_loss.new_zeros(()))
        if self.terms is not None and self.terms.terms:
            found = self.terms(output.reconstruction, target, regions, step)
            total = total + found.total
            parts |= found.by_term
        return Losses(total, parts)

    @torch.no_grad()
    def watch(self, output: TokenizerOutput, target: Tensor, regions: Mapping[str, Regions]) -> dict[str, Tensor]:
        """Return the terms that this phase does not train, by name; arguments as for a call."""
        if self.watched is None or not self.watched.terms:
            return {}
        return self.watched(output.reconstruction.detach(), target, regions).by_term
