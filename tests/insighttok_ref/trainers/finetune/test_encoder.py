"""Encoders that learn: what holds their latents, against diffusers' own divergence and each quantizer's own loss."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from insighttok_ref.objective.objective import Objective, ObjectiveOptions
from insighttok_ref.tokenizers.insighttok.checkpoints import load_tokenizer, save_tokenizer
from insighttok_ref.tokenizers.insighttok.model import InsightTokenizer
from insighttok_ref.trainers.finetune.trainee import Tuned
from insighttok_ref.training.stop import StoppedError
from regionloss.autoencoders import open_trainable
from tests.autoencoders.small import MODELS, images, model
from tests.insighttok_ref.trainers.finetune.conftest import Prepare
from tests.insighttok_ref.trainers.finetune.test_finetune import metrics, train, weights

CPU = torch.device("cpu")
BOTH = "model.train=[encoder,decoder]"


@pytest.mark.parametrize("name", MODELS)
def test_latents_with_a_distribution_are_drawn_and_their_divergence_is_measured(name: str, tmp_path: Path) -> None:
    if name == "rae":
        pytest.importorskip("transformers")
    model(name).save_pretrained(tmp_path)
    found, x = open_trainable(tmp_path, CPU), images()
    found.set_trainable(["encoder", "decoder"])
    torch.manual_seed(5)
    first, second = (Tuned(found)(x) for _ in range(2))
    theirs = model(name).encode(x if name not in ("qwen", "wan", "wan2.2") else x[:, :, None])
    distribution = getattr(theirs, "latent_dist", None)
    if distribution is None:
        assert first.kl is None
        assert torch.equal(first.reconstruction, second.reconstruction)
        return
    torch.testing.assert_close(first.kl, distribution.kl().sum() / x.numel())
    assert not torch.equal(first.reconstruction, second.reconstruction)
    torch.manual_seed(5)
    sampled = distribution.mean + distribution.std * torch.randn_like(distribution.mean)
    made = found.decode(sampled if sampled.ndim == 4 else sampled[:, :, 0])
    assert torch.allclose(first.reconstruction, made, rtol=0, atol=1e-5)
    frozen = open_trainable(tmp_path, CPU)
    frozen.set_trainable()
    still = Tuned(frozen)(x)
    assert still.kl is None
    assert torch.equal(still.reconstruction, frozen.reconstruct(x).images)


def test_the_divergence_alone_moves_the_encoder_and_nothing_else(prepare: Prepare, vae: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    train(prepare(out, BOTH, "terms={}", "objective={l1: 0, kl: 1}", "weight_average=0", "steps=3"))
    first, *_, last = (line for line in metrics(out) if "loss/kl" in line)
    assert first["loss/total"] == pytest.approx(first["loss/kl"])
    assert last["loss/kl"] < first["loss/kl"]
    changed = {key for key, value in weights(vae).items() if not torch.equal(value, weights(out)[key])}
    assert changed
    assert all(key.startswith(("encoder.", "quant_conv.")) for key in changed)


def test_it_has_the_weight_of_latent_diffusion_and_0_leaves_it_out(prepare: Prepare, tmp_path: Path) -> None:
    assert ObjectiveOptions().kl == 1e-6
    train(prepare(tmp_path / "run", BOTH, "objective.kl=0", "steps=1"))
    train(prepare(tmp_path / "frozen", "objective.kl=1", "steps=1"))
    assert not [line for folder in ("run", "frozen") for line in metrics(tmp_path / folder) if "loss/kl" in line]


def test_a_stopped_run_draws_the_same_noise(prepare: Prepare, tmp_path: Path) -> None:
    asked = (BOTH, "objective.kl=0.01", "weight_average=0", "steps=4")
    train(prepare(tmp_path / "whole", *asked))
    with pytest.raises(StoppedError):
        train(prepare(tmp_path / "stopped", *asked), stop_at=2)
    torch.manual_seed(99)
    train(prepare(tmp_path / "stopped", *asked, resume=True))
    assert all(value.equal(weights(tmp_path / "stopped")[key]) for key, value in weights(tmp_path / "whole").items())
    assert metrics(tmp_path / "stopped") == metrics(tmp_path / "whole")


def test_an_encoder_is_held_to_its_codes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    small = {"ch": 16, "ch_mult": (1, 1), "num_res_blocks": 1, "z_channels": 8, "code_dim": 4, "codebook_size": 16}
    save_tokenizer(InsightTokenizer(**small, attn_resolutions=(), norm_groups=4), tmp_path / "vq.safetensors")
    model("vq").save_pretrained(tmp_path / "vq")
    x = images()
    ours, theirs = load_tokenizer(tmp_path / "vq.safetensors"), model("vq")
    wanted = [ours(x).commit_loss, theirs.quantize(theirs.encode(x).latents)[1]]
    for path, loss in zip(("vq.safetensors", "vq"), wanted, strict=True):
        found = open_trainable(tmp_path / path, CPU)
        found.set_trainable(["encoder", "decoder"])
        output = Tuned(found)(x)
        torch.testing.assert_close(output.commit_loss, loss)
        (pull,) = torch.autograd.grad(output.commit_loss, next(found.parts["encoder"][0].parameters()))
        assert pull.abs().sum() > 0
        found.set_trainable()
        assert Tuned(found)(x).commit_loss == 0
        parts = Objective(ObjectiveOptions())(Tuned(found)(x), x, {}).parts
        assert "commitment" not in parts  # is not computed, and has no panel in the report
