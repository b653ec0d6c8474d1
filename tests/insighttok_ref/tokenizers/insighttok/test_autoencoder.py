"""Tokenizer files as autoencoders: the decoder trained alone, and written back as the code of its kind reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from insighttok_ref.tokenizers.insighttok.checkpoints import read_tokenizer, save_tokenizer
from insighttok_ref.tokenizers.insighttok.model import InsightTokenizer
from regionloss.autoencoders import TrainableAutoencoder, open_trainable
from regionloss.errors import InputError
from tests.insighttok_ref.tokenizers.insighttok.published_layouts import double

CPU = torch.device("cpu")
PLAIN = {"codebook": "plain"}


def official() -> dict[str, Tensor]:
    torch.manual_seed(0)
    model = InsightTokenizer(ch=32, ch_mult=(1, 2), num_res_blocks=1, z_channels=8, code_dim=4, codebook_size=16)
    return dict(model.state_dict())


def files(folder: Path) -> dict[str, tuple[Path, str]]:
    """A file of each kind, and the entry with its weights."""
    official_file, taming, llamagen = (folder / name for name in ("insighttok.pt", "last.ckpt", "vq_ds16_t2i.pt"))
    torch.save({"model": official(), "optimizer": {"state": {}}}, official_file)
    beside = {"loss.discriminator.weight": torch.ones(1)}
    torch.save({"state_dict": {**double("taming", 8), **beside}, "global_step": 3}, taming)
    torch.save({"model": double("llamagen", 8)}, llamagen)
    alone = folder / "half.safetensors"
    save_file({name: value.half() for name, value in double("llamagen", 8).items()}, alone)
    ours = folder / "run" / "tokenizer.safetensors"
    save_tokenizer(read_tokenizer(official_file).model, ours)
    return {
        "official": (official_file, "model"),
        "taming": (taming, "state_dict"),
        "llamagen": (llamagen, "model"),
        "llamagen, half": (alone, ""),
        "ours": (ours, ""),
    }


def tensors_of(path: Path, entry: str) -> dict[str, Tensor]:
    if not entry:
        return load_file(path)
    held: Any = torch.load(path, weights_only=True)
    return dict(held[entry])


def tuned(autoencoder: TrainableAutoencoder, x: Tensor) -> None:
    optimizer = torch.optim.Adam(autoencoder.set_trainable(["decoder"]), lr=1e-3)
    for _ in range(3):
        with torch.no_grad():
            latents = autoencoder.encode(x).latents
        loss = (autoencoder.decode(latents) - x).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@pytest.mark.parametrize("kind", ["official", "taming", "llamagen", "llamagen, half", "ours"])
def test_a_tuned_decoder_is_written_back_in_the_layout_of_its_file(tmp_path: Path, kind: str) -> None:
    path, entry = files(tmp_path)[kind]
    options = PLAIN if kind.startswith("llamagen") else {}
    found, x = open_trainable(path, CPU, options), torch.rand(1, 3, 16, 16) * 2 - 1
    ids, before = found.encode(x).ids, found.reconstruct(x)
    assert ids is not None
    tuned(found, x)
    single = found.save(tmp_path / "after")
    assert single.name == path.name
    old, new = tensors_of(path, entry), tensors_of(single, entry)
    own = {name for name in old if not name.startswith("loss.")}
    assert new.keys() == own
    assert {name: value.dtype for name, value in new.items()} == {name: old[name].dtype for name in own}
    changed = {name for name in own if not torch.equal(old[name], new[name])}
    assert changed
    assert all(name.startswith(("decoder.", "post_quant_conv.")) for name in changed)
    for again in (tmp_path / "after", single):
        output = open_trainable(again, CPU, options if again == single else {}).reconstruct(x)
        assert output.ids is not None
        assert torch.equal(output.ids, ids)
        assert torch.allclose(output.images, found.reconstruct(x).images, atol=1e-6 if kind[-4:] != "half" else 1e-2)
        assert not torch.allclose(output.images, before.images, atol=1e-3)
    with pytest.raises(InputError, match="Name another one"):
        found.save(path.parent)


def test_what_evaluation_asks_is_what_the_model_gives(tmp_path: Path) -> None:
    path, _ = files(tmp_path)["taming"]
    found, x = open_trainable(path, CPU), torch.rand(2, 3, 16, 16) * 2 - 1
    expected = read_tokenizer(path).model(x)
    output = found.reconstruct(x)
    assert output.ids is not None
    assert torch.equal(output.images, expected.reconstruction)
    assert torch.equal(output.ids, expected.ids)
    assert list(found.parts)[:3] == ["encoder", "quantizer", "decoder"]
    assert found.set_checkpointing(True)
    assert torch.equal(found.reconstruct(x).images, output.images)
