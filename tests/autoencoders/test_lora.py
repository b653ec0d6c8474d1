"""Low-rank adapters in autoencoders of every class: added, merged by hand, taken out again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from regionloss.autoencoders import add_lora, merged, open_trainable
from regionloss.errors import InputError
from tests.autoencoders.small import MODELS, images, model

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", MODELS)
def test_every_family_takes_adapters_and_is_saved_without(name: str, tmp_path: Path) -> None:
    if name == "rae":
        pytest.importorskip("transformers")
    model(name).save_pretrained(tmp_path / "vae")
    found, plain = open_trainable(tmp_path / "vae", CPU), open_trainable(tmp_path / "vae", CPU)
    last = found.last_layer
    learning = add_lora(found, rank=2, alpha=6)
    assert found.last_layer is last
    assert sum(one.numel() for one in learning) < sum(one.numel() for one in plain.set_trainable())
    with torch.no_grad():
        latents = found.encode(images()).latents
        assert torch.equal(latents, plain.encode(images()).latents)
        assert torch.allclose(found.decode(latents), plain.decode(latents), rtol=0, atol=1e-6)
        for one in learning:
            one.normal_(std=0.1)
        made = found.decode(latents)
        merged(found).save(tmp_path / "tuned")
        again = open_trainable(tmp_path / "tuned", CPU)
        assert (made - plain.decode(latents)).abs().max() > 1e-4
        assert torch.allclose(again.decode(latents), made, rtol=0, atol=1e-5 * max(1.0, float(made.abs().max())))
        assert torch.equal(found.decode(latents), made)


@pytest.mark.parametrize("name", MODELS)
def test_no_convolution_is_left_out(name: str, tmp_path: Path) -> None:
    if name == "rae":
        pytest.importorskip("transformers")
    model(name).save_pretrained(tmp_path)
    found = open_trainable(tmp_path, CPU)
    kinds = (nn.Linear, nn.Conv2d, nn.Conv3d)
    learning = {id(weight) for weight in found.set_trainable()}
    whole = [one for one in found.module.modules() if isinstance(one, kinds) and getattr(one, "groups", 1) == 1]
    wanted = {id(one.weight) for one in whole if id(one.weight) in learning}
    add_lora(found, rank=2)
    assert {id(one.get_base_layer().weight) for one in found.module.modules() if hasattr(one, "lora_A")} == wanted
    classes = {type(one) for one in whole}
    assert {type(one) for one in found.module.modules() if isinstance(one, kinds)} >= classes  # as they were


def test_the_weight_is_that_of_the_formula(tmp_path: Path) -> None:
    model("sd").save_pretrained(tmp_path)
    found = open_trainable(tmp_path, CPU)
    before = found.last_layer.detach().clone()
    a, b = add_lora(found, ["decoder.conv_out"], rank=2, alpha=6)
    nn.init.normal_(b)
    wanted = before + 3.0 * torch.einsum("or,rikl->oikl", b[:, :, 0, 0], a)
    assert torch.allclose(merged(found).last_layer, wanted, rtol=0, atol=1e-5)


def test_a_part_without_layers_is_refused(tmp_path: Path) -> None:
    model("sd").save_pretrained(tmp_path)
    found = open_trainable(tmp_path, CPU)
    with pytest.raises(InputError, match=r"lora: expected linear layers or convolutions, got 'decoder.conv_norm_out'"):
        add_lora(found, ["decoder.conv_norm_out"])
