"""What tuning an autoencoder needs: the states by a closed form, a step beside what the trainer itself prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from insighttok_ref.trainers.finetune.trainer import Finetune
from regionloss.autoencoders import open_trainable, step_memory
from regionloss.errors import InputError
from regionloss.recipe import TrainingNeeds, build_trainer, load_recipe
from tests.insighttok_ref.trainers.finetune.conftest import TINY


def needs(*overrides: str) -> TrainingNeeds:
    loaded = load_recipe(TINY, overrides)
    trainer: Finetune = build_trainer(loaded)
    with loaded.catalogue.in_use():
        return trainer.needs(loaded, 1)


def test_states_are_those_of_what_learns_and_no_images_are_asked_for(vae: Path) -> None:
    import torch

    found = needs(f"model.from={vae}")
    autoencoder = open_trainable(vae, torch.device("cpu"))
    learning = sum(one.numel() for one in autoencoder.set_trainable(["decoder"]))
    every = sum(one.numel() for one in autoencoder.module.parameters())
    states = found.engines[0].states
    assert (states["weights"], states["average"]) == (4 * every, 4 * every)
    assert (states["gradients"], states["optimizer"]) == (4 * learning, 8 * learning)
    # An l1 loss of the same autoencoder, gradients of weights included, and no region terms.
    alone = step_memory(autoencoder, 32, 2, bf16=False, checkpointing=False).step
    assert found.step(2)["autoencoder"] == pytest.approx(alone - 4 * learning, rel=0.15)


def test_low_rank_matrices_are_what_learns(vae: Path) -> None:
    whole, low = needs(f"model.from={vae}"), needs(f"model.from={vae}", "model.lora=2")
    assert 0 < low.engines[0].states["gradients"] < 0.5 * whole.engines[0].states["gradients"]
    assert low.engines[0].states["weights"] > whole.engines[0].states["weights"]


def test_nobody_said_which() -> None:
    with pytest.raises(InputError, match=r"model.from: expected the autoencoder to tune, got nothing"):
        needs()
