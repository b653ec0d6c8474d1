"""Tokenizer files: the published models' numbers from their own layouts, round trips bit for bit, sentences."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from insighttok_ref.tokenizers.insighttok.checkpoints import load_tokenizer, read_tokenizer, save_tokenizer
from insighttok_ref.tokenizers.insighttok.codes import Codes
from insighttok_ref.tokenizers.insighttok.model import InsightTokenizer
from regionloss.errors import InputError, UnknownNameError, WeightsError
from tests.insighttok_ref.conftest import Golden
from tests.insighttok_ref.tokenizers.insighttok.published_layouts import double, forward

STYLES = [("taming", 16), ("llamagen", 8)]
HOW: dict[str, Codes | None] = {"taming": None, "llamagen": "normalised"}  # random codes show nothing
LOSS = {"loss.discriminator.main.0.weight": torch.ones(2), "loss.perceptual_loss.lin0.model.1.weight": torch.ones(1)}


def wrapped(style: str, weights: dict[str, Tensor]) -> dict[str, Any]:
    """What the published training code saves."""
    if style == "taming":
        return {"state_dict": {**weights, **LOSS}, "epoch": 3, "global_step": 7}
    return {"model": weights, "optimizer": {"state": {}}, "steps": 7}


@pytest.fixture
def official(tmp_path: Path, golden_a: Golden) -> Path:
    path = tmp_path / "insight_tok.pt"
    torch.save({"model": golden_a.weights()}, path)
    return path


@pytest.mark.parametrize(("style", "code_dim"), STYLES)
def test_foreign_models_give_the_numbers_of_a_plain_forward(tmp_path: Path, style: str, code_dim: int) -> None:
    weights = double(style, code_dim)
    torch.save(wrapped(style, weights), tmp_path / "foreign.ckpt")
    found = read_tokenizer(tmp_path / "foreign.ckpt", codebook=HOW[style])
    assert found.kind == style
    assert set(found.filled) == {"quantize.cluster_size", "quantize.embed_avg"}
    x = torch.rand(2, 3, 32, 24, generator=torch.Generator().manual_seed(1)) * 2 - 1
    ids, reconstruction = forward(weights, style, x)
    assert len(ids.unique()) > 4
    with torch.no_grad():
        output = found.model(x)
    assert torch.equal(found.model.encode(x), ids)
    torch.testing.assert_close(output.reconstruction, reconstruction, atol=5e-5, rtol=0)
    torch.testing.assert_close(found.model.decode(ids, (8, 6)), reconstruction, atol=5e-5, rtol=0)


@pytest.mark.parametrize(("style", "code_dim"), STYLES)
def test_foreign_models_keep_their_numbers_through_our_file(tmp_path: Path, style: str, code_dim: int) -> None:
    torch.save(double(style, code_dim), tmp_path / "bare.pt")
    model = read_tokenizer(tmp_path / "bare.pt", style, codebook=HOW[style]).model
    x = torch.rand(1, 3, 16, 16) * 2 - 1
    for layout in ("ours", "safetensors"):
        save_tokenizer(model, tmp_path / "new.safetensors", layout)
        again = read_tokenizer(tmp_path / "new.safetensors").model
        assert again.fingerprint == model.fingerprint
        assert torch.equal(again(x).reconstruction, model(x).reconstruction)


def test_the_published_model_gives_its_golden_numbers(official: Path, golden_a: Golden) -> None:
    found = read_tokenizer(official, "official")
    assert (found.kind, found.filled) == ("official", ())
    assert torch.equal(found.model.encode(golden_a["x"]).flatten(), golden_a["eval/indices"])
    with torch.no_grad():
        rec = found.model(golden_a["x"]).reconstruction
    torch.testing.assert_close(rec, golden_a["eval/rec"], atol=5e-5, rtol=0)


def test_official_to_ours_to_official_is_bit_for_bit(tmp_path: Path, official: Path) -> None:
    save_tokenizer(load_tokenizer(official), tmp_path / "ours.safetensors")
    assert read_tokenizer(tmp_path / "ours.safetensors").kind == "ours"
    save_tokenizer(load_tokenizer(tmp_path / "ours.safetensors"), tmp_path / "back.pt", "official")
    before = torch.load(official, weights_only=True)["model"]
    after = torch.load(tmp_path / "back.pt", weights_only=True)["model"]
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) and before[name].dtype == after[name].dtype for name in before)
    save_tokenizer(load_tokenizer(official), tmp_path / "tensors.safetensors", "safetensors")
    assert all(torch.equal(before[name], value) for name, value in load_file(tmp_path / "tensors.safetensors").items())


def test_the_inferred_configuration_of_the_published_sizes_is_the_preset(tmp_path: Path, golden_folder: Path) -> None:
    with torch.device("meta"):
        model = InsightTokenizer.from_preset("insighttok-72m", ch=32)
    weights = {name: torch.zeros(value.shape) for name, value in model.state_dict().items()}
    weights.pop("quantize.codebook_used")
    torch.save({"model": weights}, tmp_path / "545.pt")
    found = read_tokenizer(tmp_path / "545.pt").model.config
    wanted = model.config | {"quantizer": {"track_usage": False}}
    assert found == wanted


def test_averaged_weights_are_preferred(tmp_path: Path, golden_a: Golden) -> None:
    plain = golden_a.weights()
    averaged = {name: value + 1 for name, value in plain.items()}
    torch.save({"model": plain, "ema": averaged}, tmp_path / "both.pt")
    weight = load_tokenizer(tmp_path / "both.pt").last_layer
    assert torch.equal(weight, averaged["decoder.conv_out.weight"])


def test_a_pickle_with_other_objects_needs_trust(tmp_path: Path, golden_a: Golden) -> None:
    file = tmp_path / "run.pt"
    torch.save({"model": golden_a.weights(), "args": argparse.Namespace(lr=1)}, file)
    with pytest.raises(WeightsError, match=r"other objects among them\. .*--trust"):
        read_tokenizer(file)
    assert read_tokenizer(file, trust=True).kind == "official"


def test_half_precision_files_are_read_in_float32(tmp_path: Path, golden_a: Golden) -> None:
    torch.save({name: value.half() for name, value in golden_a.weights().items()}, tmp_path / "half.pt")
    model = load_tokenizer(tmp_path / "half.pt")
    assert all(weight.dtype == torch.float32 for weight in model.state_dict().values())


def broken(weights: dict[str, Tensor]) -> dict[str, tuple[Any, str]]:
    some = {name: value for name, value in weights.items() if "decoder.mid" not in name}
    other = {**weights, "decoder.conv_out.bias": torch.zeros(4)}
    return {
        "missing": (some, r"got a file without decoder.mid.block_1.norm1.weight, .* \(26 in all\)"),
        "unknown": ({**weights, "decoder.extra": torch.zeros(1)}, "got a file with the unknown decoder.extra"),
        "shape": (other, r"'decoder.conv_out.bias': expected a shape \(3,\), got \(4,\)"),
        "other": ({"fc.weight": torch.zeros(1)}, "expected the weights of a VQ tokenizer, got tensors such as fc"),
        "codes": ({k: v for k, v in weights.items() if "embedding" not in k}, "without quantize.embedding.weight"),
        "empty": ({}, "expected tensors by name, got an empty dict"),
        "list": ([1, 2], "expected tensors by name, got list"),
    }


@pytest.mark.parametrize("case", list(broken({})))
def test_what_does_not_fit_is_a_sentence(tmp_path: Path, golden_a: Golden, case: str) -> None:
    content, sentence = broken(golden_a.weights())[case]
    torch.save(content, tmp_path / "file.pt")
    with pytest.raises(WeightsError, match=sentence):
        read_tokenizer(tmp_path / "file.pt")


def test_files_that_cannot_be_read_are_sentences(tmp_path: Path, official: Path) -> None:
    contents = {
        "text.pt": b"hello, this is text\n",
        "empty.pt": b"",
        "cut.pt": official.read_bytes()[:5000],
        "text.safetensors": b"hello, this is text\n",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        for trust in (False, True):
            with pytest.raises(WeightsError, match=f"{name}: (expected a tokenizer file|cannot be read)"):
                read_tokenizer(tmp_path / name, trust=trust)
    with pytest.raises(WeightsError, match="got a folder"):
        read_tokenizer(tmp_path)
    with pytest.raises(WeightsError, match="there is no such file"):
        read_tokenizer(tmp_path / "none.pt")


def test_a_wrong_kind_says_which_it_is(official: Path) -> None:
    with pytest.raises(WeightsError, match="expected a file of kind 'taming', got one of kind 'official'"):
        read_tokenizer(official, "taming")
    with pytest.raises(UnknownNameError, match="Did you mean 'llamagen'"):
        read_tokenizer(official, "llamagem")


def test_our_metadata_may_be_damaged(tmp_path: Path, official: Path) -> None:
    tensors = torch.load(official, weights_only=True)["model"]
    for config, sentence in (('{"chh": 3}', "does not build"), ("{", "cannot be read")):
        save_file(tensors, tmp_path / "x.safetensors", metadata={"config": config})
        with pytest.raises(WeightsError, match=sentence):
            load_tokenizer(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"patch_size": 2}, "expected patch_size 1, got patch_size 2"),
        ({"norm_groups": 8}, "expected norm_groups 32, got norm_groups 8"),
        ({"quantizer": {"l2_normalize": False}}, "expected codes that are normalised, got plain codes"),
    ],
)
def test_official_files_are_refused_where_they_cannot_say(tmp_path: Path, options: Any, sentence: str) -> None:
    model = InsightTokenizer(
        ch=32, ch_mult=(1, 1), num_res_blocks=1, z_channels=8, code_dim=4, codebook_size=8, **options
    )
    with pytest.raises(InputError, match=sentence):
        save_tokenizer(model, tmp_path / "x.pt", "official")
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore:.*torch.jit")
@pytest.mark.parametrize("trust", [True, False])
def test_a_program_is_refused_with_and_without_trust(tmp_path: Path, trust: bool) -> None:
    torch.jit.script(torch.nn.Conv2d(3, 3, 1)).save(str(tmp_path / "x.pt"))
    with pytest.raises(WeightsError, match="expected a tokenizer file, got a TorchScript program"):
        read_tokenizer(tmp_path / "x.pt", trust=trust)


@pytest.mark.parametrize("zipped", [True, False])
def test_trust_runs_nothing(tmp_path: Path, golden_a: Golden, zipped: bool) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "ran"),)

    held = {"model": golden_a.weights(), "hook": Hostile()}
    torch.save(held, tmp_path / "x.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match="got other objects among them"):
        read_tokenizer(tmp_path / "x.pt")
    assert read_tokenizer(tmp_path / "x.pt", trust=True).kind == "official"
    assert not (tmp_path / "ran").exists()
