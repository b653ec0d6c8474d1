"""A phase's weight that changes: the objective takes that of the step it is told."""

from __future__ import annotations

import pytest
import torch

import regionloss as rl
from insighttok_ref.objective.objective import Objective, ObjectiveOptions
from insighttok_ref.tokenizers.base import TokenizerOutput
from insighttok_ref.trainers.tokenizer.options import Phase
from tests.helpers import pair, text_loss, text_regions


def test_the_weight_is_that_of_the_step() -> None:
    given = {"text": {"points": [[0, 0.0], [10, 2.0]]}}
    phase = Phase(name="only", steps=20, batch_size=1, lr=1e-4, term_weights=given)
    x, y = pair()
    output = TokenizerOutput(x, torch.zeros((), dtype=torch.float64), torch.zeros(3, 1))
    terms = rl.LossTerms({"text": rl.Term(text_loss(), "text", phase.term_weights["text"])})
    objective = Objective(ObjectiveOptions(), terms)
    l1, region = (x - y).abs().mean(), text_loss()(x, y, text_regions())
    for step, weight in ((0, 0.0), (5, 1.0), (10, 2.0), (19, 2.0)):
        total = objective(output, y, {"text": text_regions()}, step=step).total
        assert float(total.detach()) == pytest.approx(float((l1 + weight * region).detach()))
