"""Runs that tune low-rank matrices, and what they leave: plain autoencoders."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from insighttok_ref.training.stop import StoppedError
from tests.insighttok_ref.trainers.finetune.conftest import Prepare
from tests.insighttok_ref.trainers.finetune.test_finetune import metrics, train, weights


def test_the_result_is_plain_and_a_stopped_run_goes_on_to_it(prepare: Prepare, vae: Path, tmp_path: Path) -> None:
    from diffusers import AutoencoderKL

    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    asked: tuple[str, ...] = (
        "model.lora=2",
        "lr=1e-2",
        "weight_average=0",
        "model.checkpointing=true",
        "terms={}",
        "steps=3",
    )
    adversarial = "{learn_from: 0, listen_from: 0, ndf: 4, layers: 1, norm: group, adaptive: true}"
    asked += (f"objective.adversarial={adversarial}",)
    session = train(prepare(whole, *asked))
    x = torch.rand(2, 3, 32, 32) * 2 - 1
    learnt, before, after = (
        session.autoencoder,
        AutoencoderKL.from_pretrained(vae),
        AutoencoderKL.from_pretrained(whole),
    )
    with torch.no_grad():
        latents = after.encode(x).latent_dist.mode()
        assert torch.equal(latents, before.encode(x).latent_dist.mode())
        assert torch.allclose(after.decode(latents).sample, learnt.decode(latents), rtol=0, atol=1e-5)
        assert not torch.allclose(after.decode(latents).sample, before.decode(latents).sample, rtol=0, atol=1e-3)
    learning = [name for name, weight in learnt.module.named_parameters() if weight.requires_grad]
    assert learning
    assert all(".lora_" in name for name in learning)
    with pytest.raises(StoppedError):
        train(prepare(stopped, *asked), stop_at=2)
    torch.manual_seed(99)
    train(prepare(stopped, *asked, resume=True))
    assert all(value.equal(weights(stopped)[key]) for key, value in weights(whole).items())
    assert metrics(stopped) == metrics(whole)
