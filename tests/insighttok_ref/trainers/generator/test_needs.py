"""What the training of a generator needs: parameter counts, closed forms of activations and of operations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from insighttok_ref.trainers.generator.needs import (
    CODES,
    PROMPT,
    TokenShape,
    hidden_costs,
    model_without_memory,
    needs,
    operations,
    step_bytes,
)
from insighttok_ref.trainers.generator.trainer import GeneratorTrainer
from insighttok_ref.training.states import Size
from regionloss.recipe import PhaseNeeds, build_trainer, load_recipe
from tests.insighttok_ref.trainers.generator.conftest import TINY, places
from tests.sources import ROOT

RECIPE = ROOT / "recipes" / "insightar.yaml"
SMALL = ("trainer.options.model.preset=tiny", "trainer.options.model.text=null")
SHAPE: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 176,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
    "vocab_size": 300,
}
ROWS = TokenShape(codes=500, code_dim=8, ids=256, note="")


def trainer(*overrides: str, recipe: Path = RECIPE) -> GeneratorTrainer:
    made: GeneratorTrainer = build_trainer(load_recipe(recipe, overrides))
    return made


def small(**shape: Any) -> GeneratorTrainer:
    words = ", ".join(f"{name}: {value}" for name, value in {**SHAPE, **shape}.items())
    return trainer(*SMALL, f"trainer.options.model.shape={{{words}}}")


def test_7b_has_as_many_weights_as_the_paper_s_and_the_table_is_zero_s() -> None:
    large = trainer()
    model = model_without_memory(large, TokenShape(CODES, 256, 1024, ""), large.phases[1], True)
    language = sum(one.numel() for one in model.language_model.parameters())
    every = sum(one.numel() for one in model.parameters())
    assert (language / 1e9, every / 1e9) == (pytest.approx(6.910, abs=0.001), pytest.approx(7.02, abs=0.005))
    assert Size.of(model).frozen == 102400 * 4096 + CODES * 256  # text head, and codebook


def test_checkpointing_keeps_a_hidden_state_a_layer() -> None:
    """Of each image T x width float32 a layer (the residual stream), whatever happens inside of it."""
    tokens, width = PROMPT + 1 + ROWS.ids - 1, SHAPE["hidden_size"]

    def kept(layers: int) -> int:
        made = small(num_hidden_layers=layers)
        model = model_without_memory(made, ROWS, made.phases[1], True)
        return step_bytes(model, ROWS, 5, True)["language model"]

    assert (kept(7) - kept(3)) / 4 == pytest.approx(5 * tokens * width * 4, rel=0.01)


def test_without_it_a_layer_keeps_much_more() -> None:
    made = small()
    again, kept = (
        step_bytes(model_without_memory(made, ROWS, made.phases[1], one), ROWS, 2, True)["language model"]
        for one in (True, False)
    )
    assert kept > 5 * again


def test_operations_are_six_for_each_weight_and_token_and_those_of_attention() -> None:
    """2 forward, 4 backward; keys times queries and weights times values are as much again each."""
    made = small()
    model = model_without_memory(made, ROWS, made.phases[1], False)
    tokens = PROMPT + 1 + ROWS.ids - 1
    layers = sum(one.numel() for one in model.language_model.model.layers.parameters() if one.dim() == 2)
    heads = sum(one.numel() for one in model.head.parameters() if one.dim() == 2)
    adapter = sum(one.numel() for one in model.adapter.parameters() if one.dim() == 2)
    dense = 6 * (layers * tokens + (heads + adapter) * ROWS.ids)
    attention = SHAPE["num_hidden_layers"] * 2 * 2 * tokens**2 * SHAPE["hidden_size"]
    # Backward of attention computes the weights again: five products after two.
    assert operations(model, ROWS) == pytest.approx(dense + 3.5 * attention, rel=0.03)


def test_the_hidden_cost_of_the_first_stage_is_named() -> None:
    made = small()
    models = [model_without_memory(made, ROWS, phase, False) for phase in made.phases]
    phases = [
        PhaseNeeds(phase.name, phase.steps, phase.batch_size, operations(model, ROWS))
        for phase, model in zip(made.phases, models, strict=True)
    ]
    # All that is saved are the gradients of the layers' weights, 2 of 6 operations a weight and token.
    layers = sum(one.numel() for one in models[1].language_model.model.layers.parameters() if one.dim() == 2)
    saved = 2 * layers * (PROMPT + ROWS.ids)
    assert phases[1].operations - phases[0].operations == pytest.approx(saved, rel=0.01)
    (sentence,) = hidden_costs(models, phases)
    assert "Hidden cost of 'adapt'" in sentence
    assert "back through the frozen language model" in sentence


def test_tokens_that_are_here_are_looked_at(tokens: Path) -> None:
    found = needs(trainer(*places(tokens), recipe=TINY), 1)
    assert "16 an image" in found.notes[0]
    assert [phase.name for phase in found.phases] == ["adapt", "train"]
    far = needs(trainer(*places(tokens / "nowhere"), recipe=TINY), 1)
    assert "No tokens are here" in far.notes[0]
    assert far.phases[1].operations > found.phases[1].operations
