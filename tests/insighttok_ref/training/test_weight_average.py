"""The moving average of weights, against a plain loop over numbers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from insighttok_ref.training.weight_average import WeightAverage


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.999])
def test_it_follows_the_weights_as_a_loop_over_numbers_does(decay: float) -> None:
    model = nn.Linear(1, 1, bias=False).double()
    average = WeightAverage(model, decay)
    expected = model.weight.item()
    for step in range(40):
        with torch.no_grad():
            model.weight.fill_(step**0.5)
        average.update(model, step)
        share = max(1 - decay, 9 / (10 + step))
        expected += share * (step**0.5 - expected)
        assert average.model.weight.item() == pytest.approx(expected)


def test_a_short_run_forgets_what_it_began_with() -> None:
    """A plain average of decay 0.999 would keep nine tenths of it after 100 steps."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    average = WeightAverage(model, 0.999)
    nn.init.ones_(model.weight)
    for step in range(100):
        average.update(model, step)
    assert average.model.weight.item() == pytest.approx(1.0, abs=1e-4)
