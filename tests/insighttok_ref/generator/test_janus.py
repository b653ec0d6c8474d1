"""Names of weights, there and back."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from insighttok_ref.generator.janus import from_janus, shape_of, to_janus
from regionloss.errors import WeightsError
from tests.insighttok_ref.generator.tiny import janus, ours


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(first[name].equal(second[name]) for name in first)


def test_weights_come_back_from_either_side() -> None:
    theirs = janus().state_dict()
    tensors, besides = from_janus(theirs)
    assert same(to_janus(tensors) | besides, dict(theirs))
    mine = ours(janus(1)).state_dict()
    assert same(from_janus(to_janus(mine))[0], dict(mine))


def test_every_part_of_janus_that_draws_is_taken() -> None:
    _, besides = from_janus(janus().state_dict())
    assert {name.split(".")[1] for name in besides} == {"vision_model", "aligner", "vqmodel"}


def test_other_weights_are_refused() -> None:
    with pytest.raises(WeightsError, match=r"generator: expected names that begin with .*, got 'model.other.weight'"):
        from_janus({"model.other.weight": torch.zeros(1)})
    with pytest.raises(WeightsError, match=r"Janus: expected a text_config and a codebook, got a model without them"):
        shape_of({}, {})
