"""A third party's class: the one that the documentation shows, and one that only reconstructs."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from regionloss.autoencoders import Output, TrainableAutoencoder, open_trainable
from regionloss.cli.evaluate import autoencoder
from regionloss.errors import InputError, UnknownNameError
from regionloss.hooks.catalogue import build_catalogue

CPU = torch.device("cpu")
PLUGIN = """
from regionloss.hooks import hookimpl

@hookimpl
def register_autoencoders(register):
    register("patches", "patches:PatchFile", summary="a file of patches")
    register("frozen", "patches:Frozen", summary="a file that only reconstructs")

class Frozen:
    multiple, side, codebook_size, weights_sha256, facts = 1, 32, None, "", {}
    def __init__(self, path, device):
        pass
    @classmethod
    def accepts(cls, path):
        return path.suffix == ".frozen"
    def reconstruct(self, images):
        return images, None
"""


def shown() -> str:
    """The class in the documentation."""
    block = re.search(r"```python\n(.*?)```", inspect.getdoc(TrainableAutoencoder) or "", re.DOTALL)
    assert block is not None
    return block[1]


@pytest.fixture
def opened(tmp_path: Path) -> Any:
    (tmp_path / "patches.py").write_text(f"{shown()}\n{PLUGIN}", encoding="utf-8")
    network = nn.ModuleDict({"encoder": nn.Conv2d(3, 48, 8, stride=8), "decoder": nn.ConvTranspose2d(48, 3, 8, 8)})
    torch.save(network.state_dict(), tmp_path / "one.patches")
    (tmp_path / "one.frozen").touch()
    return lambda name: open_trainable(tmp_path / name, CPU, where=build_catalogue(files=[tmp_path / "patches.py"]))


def test_the_documented_class_is_trained_saved_and_read(opened: Any, tmp_path: Path) -> None:
    assert len(shown().splitlines()) <= 37
    found, x = opened("one.patches"), torch.rand(2, 3, 16, 24) * 2 - 1
    before: Output = found.reconstruct(x)
    assert before.images.shape == x.shape
    assert not found.set_checkpointing(True)
    (weight, bias) = found.set_trainable()
    assert weight is found.last_layer
    latents: Tensor = found.encode(x).latents
    (found.decode(latents) - x).square().mean().backward()
    with torch.no_grad():
        weight.sub_(weight.grad)
    assert bias.grad is not None
    again = opened(found.save(tmp_path / "after").relative_to(tmp_path))
    assert torch.equal(again.reconstruct(x).images, found.reconstruct(x).images)
    assert torch.equal(again.encode(x).latents, latents)
    assert not torch.equal(again.reconstruct(x).images, before.images)


def test_what_cannot_learn_is_a_sentence(opened: Any) -> None:
    found = opened("one.patches")
    with pytest.raises(UnknownNameError, match=r"no part of the autoencoder is named 'decodr'. Did you mean 'decoder'"):
        found.set_trainable(["decodr"])
    with pytest.raises(InputError, match=r"expected one that learns, got none\. 'decoder' keeps the latents"):
        found.set_trainable([])
    with pytest.raises(InputError, match="can be trained, got 'Frozen', which only reconstructs"):
        opened("one.frozen")


def test_one_size_is_asked_for_before_anything_is_judged(opened: Any, tmp_path: Path) -> None:
    where = build_catalogue(files=[tmp_path / "patches.py"])
    for size, got in ((None, "none"), (64, "64")):
        with pytest.raises(
            InputError, match=f"--size: expected 32, the one size that this autoencoder takes, got {got}"
        ):
            autoencoder(tmp_path / "one.frozen", CPU, {}, where, "", size)
    assert autoencoder(tmp_path / "one.frozen", CPU, {}, where, "", 32).name == "one"
