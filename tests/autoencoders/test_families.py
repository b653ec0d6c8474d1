"""Every family: its decoder trained alone, saved, and read by diffusers, which gives the same images and latents."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from regionloss.autoencoders import TrainableAutoencoder, open_autoencoder, open_trainable
from regionloss.errors import InputError
from tests.autoencoders.small import MODELS, images, model

FAMILIES = [
    pytest.param(name, marks=pytest.mark.skipif(not find_spec("transformers"), reason="transformers is not installed"))
    if name == "rae"
    else name
    for name in MODELS
]
CPU = torch.device("cpu")
STEPS = 3


def latents_of(known: Any, x: Tensor) -> Tensor:
    """What diffusers' own `encode` gives, in its own range and number of axes."""
    name = type(known).__name__
    x = x / 2 + 0.5 if name == "AutoencoderRAE" else x
    output = known.encode(x[:, :, None] if name.endswith(("Wan", "QwenImage")) else x)
    if hasattr(output, "latent_dist"):
        return output.latent_dist.mode()
    return getattr(output, "latents", None) if hasattr(output, "latents") else output.latent


def images_of(known: Any, latents: Tensor) -> Tensor:
    """What diffusers' own `decode` gives; it clamps some of them."""
    name = type(known).__name__
    output = known.decode(latents).sample
    output = output[:, :, 0] if output.ndim == 5 else output
    return output * 2 - 1 if name == "AutoencoderRAE" else output


def tuned(autoencoder: TrainableAutoencoder, x: Tensor) -> list[float]:
    """Train the decoder for a few steps; return the loss of each."""
    weights = autoencoder.set_trainable(["decoder"])
    optimizer = torch.optim.AdamW(weights, lr=1e-3)
    with torch.no_grad():
        latents = autoencoder.encode(x).latents
    losses = []
    for _ in range(STEPS):
        loss = (autoencoder.decode(latents) - x).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


@pytest.mark.parametrize("name", FAMILIES)
def test_a_tuned_decoder_is_what_diffusers_loads(tmp_path: Path, name: str) -> None:
    before = model(name)
    before.save_pretrained(tmp_path / "before")
    found, x = open_trainable(tmp_path / "before", CPU), images()
    losses = tuned(found, x)
    assert losses[-1] < losses[0]
    found.save(tmp_path / "after")
    after = type(before).from_pretrained(tmp_path / "after").eval()
    assert (tmp_path / "after" / "config.json").read_bytes() == (tmp_path / "before" / "config.json").read_bytes()
    with torch.no_grad():
        latents = latents_of(after, x)
        assert torch.equal(latents, latents_of(before, x))
        output, theirs = found.reconstruct(x), images_of(after, latents)
    clamped = output.images.clamp(-1, 1) if name in ("qwen", "wan", "wan2.2") else output.images
    assert torch.allclose(clamped, theirs, rtol=0, atol=1e-6)
    changed = {key for key, value in before.state_dict().items() if not torch.equal(value, after.state_dict()[key])}
    assert changed
    assert all(key.startswith(("decoder.", "post_quant_conv.")) for key in changed)
    assert torch.equal(open_trainable(tmp_path / "after", CPU).encode(x).latents, found.encode(x).latents)


@pytest.mark.parametrize("name", FAMILIES)
def test_gradients_pass_beyond_the_range_and_recomputation_changes_none(tmp_path: Path, name: str) -> None:
    model(name).save_pretrained(tmp_path)
    found, x = open_trainable(tmp_path, CPU), images()
    weights = found.set_trainable(["decoder"])
    with torch.no_grad():
        latents = found.encode(x).latents
        found.last_layer.mul_(100)  # images far outside of [-1, 1]
    grads = []
    for on in (False, True):
        assert found.set_checkpointing(on)
        output = found.decode(latents)
        beyond = output[output.abs() > 1]
        assert len(beyond) > output.numel() // 5
        grads.append(torch.autograd.grad(beyond.sum(), weights, allow_unused=True))
    assert all(a is b is None or torch.equal(a, b) for a, b in zip(*grads, strict=True))
    of_the_last = next(grad for grad, weight in zip(grads[0], weights, strict=True) if weight is found.last_layer)
    assert of_the_last is not None
    assert float(of_the_last.abs().max()) > 0


@pytest.mark.parametrize("name", FAMILIES)
def test_parts_are_whole_and_blocks_are_the_decoders(tmp_path: Path, name: str) -> None:
    model(name).save_pretrained(tmp_path)
    found = open_trainable(tmp_path, CPU)
    parts = {part: {*found.set_trainable([part])} for part in ("encoder", "decoder")}
    quantizer = found.parts.get("quantizer", ())
    parts["quantizer"] = {weight for module in quantizer for weight in module.parameters()}
    assert sum(map(len, parts.values())) == len({*found.module.parameters()})
    blocks = [one for one in found.parts if one.startswith("decoder.")]
    assert len(blocks) >= 3
    last = [one for one in blocks if any(weight is found.last_layer for weight in found.set_trainable([one]))]
    assert len(last) == 1
    assert {*found.set_trainable(last)} < parts["decoder"]
    assert {*found.set_trainable(last)} == {one for one in found.module.parameters() if one.requires_grad}


def test_codes_are_those_that_diffusers_looks_up(tmp_path: Path) -> None:
    known = model("movq")
    known.save_pretrained(tmp_path)
    found = open_autoencoder(tmp_path, CPU)
    output = found.reconstruct(images())
    assert output.ids is not None
    with torch.no_grad():
        again = known.decode(output.ids, force_not_quantize=True, shape=(2, 8, 8, 4)).sample
    assert torch.allclose(output.images, again, atol=1e-5)


@pytest.mark.skipif(find_spec("transformers") is not None, reason="transformers is installed")
def test_a_class_whose_library_is_absent_names_it(tmp_path: Path) -> None:
    settings = {"_class_name": "AutoencoderRAE", **MODELS["rae"][1]}
    (tmp_path / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    save_file({"decoder.weight": torch.ones(1)}, tmp_path / "diffusion_pytorch_model.safetensors")
    with pytest.raises(InputError, match="expected transformers, which 'AutoencoderRAE' is made of"):
        open_autoencoder(tmp_path, CPU)
