"""Single files: read as what diffusers converts them to, written back under their own names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from regionloss.autoencoders import open_autoencoder, open_trainable
from regionloss.errors import InputError, WeightsError
from tests.autoencoders.small import images, model

CPU = torch.device("cpu")
SETTINGS = {"norm_num_groups": 4}


def published(name: str, folder: Path) -> dict[str, Tensor]:
    """What is written for programs that load single files."""
    known = model(name)
    known.save_pretrained(folder / "read")
    return load_file(open_trainable(folder / "read", CPU).save(folder / "written"))


def config(name: str, folder: Path) -> Path:
    """The configuration of a small model, whose groups no shape tells."""
    model(name).save_config(folder)
    return folder


@pytest.mark.parametrize("name", ["sd", "flux"])
def test_the_written_file_is_what_diffusers_reads_in_the_layout_of_latent_diffusion(tmp_path: Path, name: str) -> None:
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    tensors, known = published(name, tmp_path), model(name)
    assert "decoder.up.1.block.0.conv1.weight" in tensors
    assert tensors["encoder.mid.attn_1.q.weight"].shape == (16, 16, 1, 1)
    theirs = convert_ldm_vae_checkpoint(dict(tensors), dict(known.config))
    assert theirs.keys() == known.state_dict().keys()
    assert all(torch.equal(value, known.state_dict()[key]) for key, value in theirs.items())


@pytest.mark.parametrize("prefix", ["", "first_stage_model."])
@pytest.mark.parametrize("name", ["sd", "flux", "flux2"])
def test_a_file_comes_back_under_its_names(tmp_path: Path, name: str, prefix: str) -> None:
    tensors = {key: value.half() for key, value in published(name, tmp_path).items()}
    beside = {"model.diffusion_model.w": torch.ones(1)} if prefix else {}
    save_file({prefix + key: value for key, value in tensors.items()} | beside, tmp_path / "one.safetensors")
    found = open_trainable(tmp_path / "one.safetensors", CPU, {"config": config(name, tmp_path / "config")})
    with torch.no_grad():
        latents = found.encode(images()).latents
        expected = model(name).half().float().encode(images()).latent_dist.mode()
        assert torch.equal(latents, expected)
        found.last_layer.add_(1)
    after = load_file(found.save(tmp_path / "after"))
    assert {key: value.dtype for key, value in after.items()} == {key: value.dtype for key, value in tensors.items()}
    assert [key for key in tensors if not torch.equal(after[key], tensors[key])] == ["decoder.conv_out.weight"]
    assert torch.equal(open_trainable(tmp_path / "after", CPU).encode(images()).latents, latents)
    assert "float16" in str(found.facts["notes"])


def test_the_configuration_is_derived_in_either_layout(tmp_path: Path) -> None:
    import diffusers

    kind = {**model("sd").config, "norm_num_groups": 32, "block_out_channels": (32, 64), "layers_per_block": 2}
    known = diffusers.AutoencoderKL.from_config(kind)
    known.save_pretrained(tmp_path / "folder")
    single = open_trainable(tmp_path / "folder", CPU).save(tmp_path / "after")
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes((tmp_path / "folder" / "diffusion_pytorch_model.safetensors").read_bytes())
    untold = {"_use_default_values", "sample_size"}
    told = {key: list(one) if isinstance(one, tuple) else one for key, one in known.config.items() if key not in untold}
    for path in (single, alone):
        found = open_trainable(path, CPU)
        derived = {key: found.module.config[key] for key in told}
        assert {
            key: list(value) if isinstance(value, list | tuple) else value for key, value in derived.items()
        } == told
        with torch.no_grad():
            assert torch.equal(found.encode(images()).latents, known.eval().encode(images()).latent_dist.mode())
        assert "scaling factor" in str(found.facts["notes"])


def test_a_file_of_another_class_needs_its_configuration(tmp_path: Path) -> None:
    known = model("wan")
    save_file(known.state_dict(), tmp_path / "wan.safetensors")
    with pytest.raises(InputError, match=r"the names of an AutoencoderKL.*Give the folder"):
        open_autoencoder(tmp_path / "wan.safetensors", CPU)
    found = open_trainable(tmp_path / "wan.safetensors", CPU, {"config": config("wan", tmp_path / "config")})
    with torch.no_grad():
        expected = known.encode(images()[:, :, None]).latent_dist.mode()[:, :, 0]
        assert torch.equal(found.encode(images()).latents, expected)


def cases(folder: Path) -> dict[str, tuple[Any, type[Exception], str]]:
    """What is done to the folder of a small model, and the sentence."""

    def weights(change: Any) -> Any:
        file = folder / "diffusion_pytorch_model.safetensors"
        return lambda: save_file(change(load_file(file)), file, metadata={"format": "pt"})

    def settings(**changes: Any) -> Any:
        file = folder / "config.json"
        return lambda: file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))

    return {
        "no weights": ((folder / "diffusion_pytorch_model.safetensors").unlink, WeightsError, "got none"),
        "no config": ((folder / "config.json").unlink, InputError, r"config\.json"),
        "half the weights": (
            weights(lambda held: {key: value for key, value in held.items() if "encoder" in key}),
            WeightsError,
            r"every weight of 'AutoencoderKL', got none of decoder\..* and \d+ more\. Is it whole",
        ),
        "another class": (settings(_class_name="VQModel"), WeightsError, "'VQModel'"),
        "no autoencoder": (settings(_class_name="UNet2DModel"), InputError, "an autoencoder, got 'UNet2DModel'"),
        "four channels": (settings(in_channels=4), InputError, "images with 3 channels, got 4 in 'in_channels'"),
    }


@pytest.mark.parametrize("case", cases(Path()))
def test_what_cannot_be_read_is_a_sentence(tmp_path: Path, case: str) -> None:
    model("sd").save_pretrained(tmp_path)
    spoil, error, sentence = cases(tmp_path)[case]
    spoil()
    with pytest.raises(error, match=sentence):
        open_autoencoder(tmp_path, CPU)


def test_a_variant_is_read_and_written_as_the_weights(tmp_path: Path) -> None:
    model("sd").half().save_pretrained(tmp_path / "read", variant="fp16")
    found = open_trainable(tmp_path / "read", CPU)
    assert "variant 'fp16'" in str(found.facts["notes"])
    found.save(tmp_path / "after")
    after = load_file(tmp_path / "after" / "diffusion_pytorch_model.safetensors")
    assert {value.dtype for value in after.values()} == {torch.float16}
    with pytest.raises(InputError, match="Name another one"):
        found.save(tmp_path / "read")


def test_a_name_in_the_cache_of_the_hub_is_read_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=r"'somebody/vae', which is not there\. Fetch it first"):
        open_autoencoder(Path("somebody/vae"), CPU)
    repository = tmp_path / "models--somebody--vae"
    model("sd").save_pretrained(repository / "snapshots" / "abc")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    assert open_autoencoder(Path("somebody/vae"), CPU).facts["class"] == "AutoencoderKL"


def test_what_is_not_finite_or_wrapped_is_not_saved(tmp_path: Path) -> None:
    model("sd").save_pretrained(tmp_path / "read")
    found = open_trainable(tmp_path / "read", CPU)
    with torch.no_grad():
        found.last_layer[0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"decoder.conv_out.weight.*NaN"):
        found.save(tmp_path / "after")
    assert not (tmp_path / "after").exists()
    found.module.decoder.conv_out = torch.nn.Sequential(found.module.decoder.conv_out)
    with pytest.raises(InputError, match="Merge adapters"):
        found.save(tmp_path / "after")
