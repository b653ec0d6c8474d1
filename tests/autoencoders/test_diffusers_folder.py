"""Folders of diffusers: what they reconstruct is what diffusers itself says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from regionloss.autoencoders import open_autoencoder
from regionloss.autoencoders.diffusers_folder import DiffusersAutoencoder
from regionloss.errors import InputError, WeightsError

CPU = torch.device("cpu")
LAYERS = {
    "block_out_channels": (8, 16),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "norm_num_groups": 4,
}


def images() -> torch.Tensor:
    return torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_a_continuous_one_gives_the_mode_of_its_latents(tmp_path: Path) -> None:
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    model = AutoencoderKL(**LAYERS).eval()
    model.save_pretrained(tmp_path / "pipeline" / "vae")
    found = open_autoencoder(tmp_path / "pipeline", CPU)
    assert isinstance(found, DiffusersAutoencoder)
    with torch.no_grad():
        expected = model.decode(model.encode(images()).latent_dist.mode()).sample
    output = found.reconstruct(images())
    assert torch.equal(output.images, expected)
    assert (output.ids, found.multiple, found.codebook_size) == (None, 2, None)
    assert found.facts["class"] == "AutoencoderKL"


def test_a_discrete_one_tells_its_codes(tmp_path: Path) -> None:
    from diffusers import VQModel

    torch.manual_seed(0)
    model = VQModel(**LAYERS, num_vq_embeddings=32, vq_embed_dim=4, latent_channels=4).eval()
    model.save_pretrained(tmp_path / "vq")
    found = open_autoencoder(tmp_path / "vq", CPU)
    output = found.reconstruct(images())
    with torch.no_grad():
        expected = model(images()).sample
    assert torch.allclose(output.images, expected, atol=1e-6)
    assert output.ids is not None
    assert output.ids.shape == (2, 8 * 12)
    codes = model.quantize.embedding(output.ids).reshape(2, 8, 12, 4).permute(0, 3, 1, 2)
    with torch.no_grad():
        again = model.decode(codes, force_not_quantize=True).sample
    assert torch.allclose(again, expected, atol=1e-5)
    assert found.codebook_size == 32


def test_what_is_no_autoencoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="which is not there"):
        open_autoencoder(tmp_path / "nothing", CPU)
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "NoSuchModel"}), encoding="utf-8")
    with pytest.raises(InputError, match="a class of the installed diffusers, got 'NoSuchModel'"):
        open_autoencoder(tmp_path, CPU)
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "DDIMScheduler"}), encoding="utf-8")
    with pytest.raises(InputError, match="an autoencoder, got 'DDIMScheduler'"):
        open_autoencoder(tmp_path, CPU)
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "AutoencoderKL"}), encoding="utf-8")
    with pytest.raises(WeightsError, match="the weights of 'AutoencoderKL'"):
        open_autoencoder(tmp_path, CPU)
    (tmp_path / "config.json").write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(InputError, match=r"got '.*', a folder with config\.json\. Say another\.$"):
        open_autoencoder(tmp_path, CPU, advice="Say another.")
