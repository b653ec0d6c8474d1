"""Weights at which a term pulls as strongly as the loss beside it."""

from __future__ import annotations

import math

import pytest
import torch

import regionloss as rl
from regionloss.losses import balance_lines, equal_weights
from tests.helpers import face_loss, pair, text_loss, text_regions


def test_both_gradients_are_of_one_length_at_that_weight() -> None:
    x, y = pair()
    terms = rl.LossTerms({"text": rl.Term(text_loss(), "text", 0.5), "face": rl.Term(face_loss(), "face")})
    image = x * 1.5  # what a decoder made: no leaf
    rest, out = (image - y).abs().mean(), terms(image, y, text_regions())
    equal = equal_weights(rest, out.by_term, image)
    (wanted,) = torch.autograd.grad(rest, image, retain_graph=True)
    (found,) = torch.autograd.grad(equal["text"] * out.by_term["text"], image, retain_graph=True)
    assert float(found.norm()) == pytest.approx(float(wanted.norm()))
    assert equal["face"] == math.inf
    assert balance_lines(terms, equal) == [f"term 'text' has weight 0.5; equal gradients at {equal['text']:.3g}"]
    (rest + out.total).backward()  # the graph is still there
    assert x.grad is not None


def test_where_nothing_is_trained_there_is_none() -> None:
    x, y = pair()
    terms = rl.LossTerms({"text": rl.Term(text_loss(), "text")})
    frozen = terms(x.detach(), y, text_regions())
    assert equal_weights(frozen.total, frozen.by_term, x.detach()) == {}
    out = terms(x, y, text_regions())
    assert equal_weights(torch.zeros(()), out.by_term, x) == {"text": 0.0}
