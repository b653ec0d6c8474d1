"""The hooks of the reference build and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regionloss import hookimpl

if TYPE_CHECKING:
    from regionloss.hooks.specs import RegisterTarget


@hookimpl
def register_trainers(register: RegisterTarget) -> None:
    """Trainers of the InsightTok tokenizer."""
    register(
        "comparison",
        "insighttok_ref.training.comparison:Comparison",
        summary="a tokenizer with and without region terms, from the same weights, side by side",
        extra="regionloss[ref]",
    )
