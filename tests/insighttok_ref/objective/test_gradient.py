"""How strongly a loss pulls, worked out by hand."""

from __future__ import annotations

import torch

from insighttok_ref.objective.gradient import gradients_at


def test_gradients_are_those_of_each_place_and_zero_at_one_that_is_not_reached() -> None:
    layer, other = (torch.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    image = 3.0 * layer
    value = (image * torch.tensor([1.0, 10.0])).sum()
    for _ in range(2):  # the graph is kept
        found = gradients_at(value, image, layer, other)
        assert [place.tolist() for place in found] == [[1.0, 10.0], [3.0, 30.0], [0.0, 0.0]]


def test_a_loss_that_nothing_reaches_pulls_with_nothing() -> None:
    layer = torch.ones(2, requires_grad=True)
    assert [place.tolist() for place in gradients_at(torch.tensor(5.0), layer)] == [[0.0, 0.0]]
