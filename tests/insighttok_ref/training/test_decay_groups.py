"""Which weights decay, by name; and a run of an earlier version, in which all did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from insighttok_ref.tokenizers.build import build_tokenizer
from insighttok_ref.training.checkpoint import read_state
from insighttok_ref.training.decay_groups import decay_groups
from insighttok_ref.training.engines import OptimizerOptions, PlainEngine
from regionloss.recipe import load_recipe
from tests.insighttok_ref.trainers.tokenizer.phases import (
    OPTIONS,
    TINY,
    CrashError,
    assert_same,
    crash,
    prepare,
    stop,
    train,
)

DECAYED = OPTIONS + "optimizer.decayed=all"


def spared(module: nn.Module, **options: Any) -> set[str]:
    """Return the names of weights that do not decay."""
    groups = decay_groups(module, 0.1, **options)
    still = {id(one) for group in groups for one in group["params"] if not group["weight_decay"]}
    return {name for name, weight in module.named_parameters() if id(weight) in still}


def test_biases_and_norms_of_a_tokenizer_do_not_decay() -> None:
    model = build_tokenizer(load_recipe(TINY).recipe.trainer.options["model"])
    named = dict(model.named_parameters())
    found = spared(model)
    assert found == {name for name in named if name.endswith("bias") or "norm" in name}
    assert found < named.keys()
    assert not spared(model, all_decay=True)
    model.set_trainable(["decoder"])
    assert {name.split(".")[0] for name in spared(model)} == {"decoder", "post_quant_conv"}


def test_tables_of_vectors_do_not_decay() -> None:
    """A table of tokens, and the learnt codebook of a quantizer that is somebody's own."""
    model = build_tokenizer(load_recipe(TINY).recipe.trainer.options["model"])
    model.quantize.codes = nn.Parameter(torch.zeros(model.codebook_size, 8))
    model.quantize.into = nn.Linear(8, 8)
    assert {name for name in spared(model) if "quantize" in name} == {"quantize.codes", "quantize.into.bias"}
    assert spared(nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 4))) == {"0.weight", "1.bias"}


def test_a_weight_without_gradient_shrinks_and_a_bias_stays() -> None:
    layer = nn.Linear(2, 2)
    before = [one.detach().clone() for one in layer.parameters()]
    engine = PlainEngine(layer, OptimizerOptions(weight_decay=0.5))
    engine.backward(layer(torch.zeros(1, 2)).sum() * 0)
    engine.step(0.1)
    torch.testing.assert_close(layer.weight.detach(), before[0] * (1 - 0.1 * 0.5))
    assert torch.equal(layer.bias, before[1])


def test_weights_that_are_shared_out_count_by_their_own_shape() -> None:
    layer = nn.Linear(2, 2)
    layer.weight.data, layer.weight.ds_shape = torch.empty(0), torch.Size((2, 2))
    assert spared(layer) == {"bias"}


def test_a_run_of_an_earlier_version_goes_on_as_it_was_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit, in this phase and in those that follow; the recipe is today's, whose default is another one."""
    train(prepare(tmp_path / "whole", DECAYED))
    with pytest.raises(CrashError):
        train(prepare(tmp_path / "broken", DECAYED), stop(crash, 5))

    def of_earlier_version(checkpoint: Path) -> dict[str, object]:
        state = read_state(checkpoint)
        recipe = json.loads(state["recipe"])
        assert recipe["trainer"]["options"]["optimizer"].pop("decayed") == state.pop("decayed") == "all"
        return {**state, "recipe": json.dumps(recipe)}

    with monkeypatch.context() as earlier:
        earlier.setattr("insighttok_ref.training.checkpoint.read_state", of_earlier_version)
        with pytest.raises(CrashError):
            train(prepare(tmp_path / "broken", resume=True), stop(crash, 9))
    train(prepare(tmp_path / "broken", resume=True))  # what this version has saved says it
    assert_same(tmp_path / "whole", tmp_path / "broken")
