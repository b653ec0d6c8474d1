"""Memory of a step: a closed form, and the goal for a decoder of SDXL's size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from regionloss.autoencoders import TrainableAutoencoder, diffusers_folder, open_trainable
from regionloss.autoencoders.diffusers_folder import DiffusersAutoencoder
from regionloss.autoencoders.memory import of_no_memory, step_memory
from regionloss.compat.torch import MostBytes
from tests.autoencoders.small import model

SDXL: dict[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
}
GIB = 2**30


def test_tensors_count_while_they_live() -> None:
    given = torch.empty(1000, device="meta")
    with MostBytes() as counted:
        doubled = given * 2
        view = doubled[:10]
        del doubled
        assert counted.now == 4000
        del view
        assert counted.now == 0
        kept = [given + 1, given + 1]
        assert (counted.now, counted.most) == (8000, 8000)
        del kept
    assert counted.now == 0


def test_a_chain_keeps_what_its_backward_needs() -> None:
    """Five outputs are kept; two steps back, the caller's gradient is held, and those that come in and go out."""
    x = torch.empty(250, device="meta", requires_grad=True)
    with MostBytes() as counted:
        y = x
        for _ in range(5):
            y = y.exp()
        y.backward(torch.empty(250, device="meta"))
    assert counted.most == 1000 * (5 + 1 + 2)


@pytest.fixture(scope="module")
def sdxl() -> DiffusersAutoencoder:
    from diffusers import AutoencoderKL

    with torch.device("meta"):
        model = AutoencoderKL(**SDXL).eval()
    found = DiffusersAutoencoder.__new__(DiffusersAutoencoder)
    found.model = found.module = model
    found.family = diffusers_folder.family_of(model)
    return found


def test_a_decoder_of_sdxls_size_fits_16_gb_at_512_pixels_and_batch_4(sdxl: DiffusersAutoencoder) -> None:
    memory = step_memory(sdxl, 512, 4)
    assert memory.weights == pytest.approx(83_653_863 * 4 + 4 * 3 * 512**2 * 4, rel=1e-6)
    assert memory.optimizer == pytest.approx(2 * 4 * 49_490_199, rel=1e-3)
    assert memory.total < 10 * GIB
    assert step_memory(sdxl, 512, 4, checkpointing=False).total > 2 * memory.total
    assert step_memory(sdxl, 512, 8).step == pytest.approx(2 * memory.step, rel=0.1)


@pytest.mark.parametrize("name", ["wan", "dc", "vq"])
def test_the_autoencoder_stays_as_it_is(tmp_path: Path, name: str) -> None:
    model(name).save_pretrained(tmp_path)
    found = open_trainable(tmp_path, torch.device("cpu"))
    found.set_checkpointing(True)
    before = {key: value.clone() for key, value in found.module.state_dict().items()}
    kept = step_memory(found, 16, 2, checkpointing=False)
    assert kept.step > 0
    assert all(torch.equal(value, before[key]) for key, value in found.module.state_dict().items())
    assert not any(weight.requires_grad for weight in found.module.parameters())
    ghost = of_no_memory(found)
    assert {weight.device.type for weight in ghost.module.parameters()} == {"meta"}
    assert any("forward" in module.__dict__ for module in found.module.modules())


def saved_by(found: TrainableAutoencoder, parts: list[str]) -> int:
    """Return the bytes that a real step on the CPU keeps for its backward pass, weights apart."""
    kept: dict[int, int] = {}
    weights = {weight.untyped_storage().data_ptr() for weight in found.module.parameters()}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    found.set_trainable(parts)
    images = torch.rand(2, 3, 64, 64)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        with torch.set_grad_enabled("encoder" in parts):
            latents = found.encode(images).latents
        (found.decode(latents) - images).abs().mean().backward()
    found.module.zero_grad()
    return sum(size for place, size in kept.items() if place not in weights)


def test_an_encoder_that_learns_keeps_its_activations(tmp_path: Path) -> None:
    model("sd").save_pretrained(tmp_path)
    found, both = open_trainable(tmp_path, torch.device("cpu")), ["encoder", "decoder"]
    more = saved_by(found, both) - saved_by(found, ["decoder"])
    counted = [step_memory(found, 64, 2, parts, bf16=False, checkpointing=False).step for parts in (both, ["decoder"])]
    assert counted[0] - counted[1] == pytest.approx(more, rel=0.35)
