"""Learning rates of a phase: their course, and one of its own for the discriminator."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from insighttok_ref.trainers.tokenizer.loop import train_part
from insighttok_ref.trainers.tokenizer.options import RateOptions
from insighttok_ref.training.learning_rate import cosine
from regionloss.recipe import TrainingRun, build_trainer, load_recipe
from regionloss.runs import join

RECIPE = Path(__file__).with_name("tiny_phases.yaml")


def test_a_cosine_falls_to_the_least_rate_and_a_constant_one_stays() -> None:
    falling, level = (RateOptions(lr=1.0, min_lr=0.2, schedule=name).lr_at for name in ("cosine", "constant"))
    assert [falling(step, 200) for step in (0, 9)] == pytest.approx([0.2 + 0.8 * 0.1, 1.0])
    assert falling(105, 200) == pytest.approx(0.6)  # half of the way
    assert falling(199, 200) == pytest.approx(0.2 + 0.4 * (1 + math.cos(math.pi * 189 / 190)))
    assert [level(step, 200) for step in (0, 9, 105, 199)] == pytest.approx([0.28, 1.0, 1.0, 1.0])


def test_what_is_not_said_is_the_cosine_to_the_last_bit() -> None:
    rate = RateOptions(lr=1e-4)
    assert [rate.lr_at(step, 37) for step in range(37)] == [1e-4 * cosine(step, 37, 0.05) for step in range(37)]


def test_a_least_rate_above_the_largest_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"expected min_lr at most lr \(0\.001\), got 0\.01"):
        RateOptions(lr=1e-3, min_lr=1e-2)


@pytest.mark.parametrize("own", [True, False])
def test_the_discriminator_has_a_rate_of_its_own(own: bool, tmp_path: Path) -> None:
    """One so small that nothing moves, while the tokenizer learns."""
    overrides = ["objective.adversarial.learn_from=0", "phases.0.steps=2"]
    overrides += ["phases.0.adversary={lr: 1e-30, schedule: constant}"] * own
    run = TrainingRun(load_recipe(RECIPE, [f"trainer.options.{key}" for key in overrides]), tmp_path)
    records: list[dict[str, object]] = []
    with join("cpu") as ranks:
        session = build_trainer(run.loaded).session(run, ranks)
        state = session.begin(session.parts[0], False)
        assert state.adversary is not None
        players = state.model.last_layer, next(state.adversary.discriminator.parameters())
        before = [weight.detach().clone() for weight in players]
        train_part(state, session.batches(state.part, state.share), 1, lambda _, record: records.append(record or {}))
    moved = [not torch.equal(weight, old) for weight, old in zip(players, before, strict=True)]
    assert moved == [True, not own]
    assert [record.get("discriminator_lr") for record in records] == [1e-30 if own else None] * 2
