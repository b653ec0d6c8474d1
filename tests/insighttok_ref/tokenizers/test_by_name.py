"""A tokenizer of a plugin beside the recipe, by name: trained in phases, stopped, gone on with, and read again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from insighttok_ref.tokenizers.build import build_tokenizer
from insighttok_ref.tokenizers.insighttok.checkpoints import load_tokenizer
from insighttok_ref.tokenizers.insighttok.model import InsightTokenizer
from regionloss.errors import InputError, RecipeError
from regionloss.recipe import load_recipe, train

TRAINER = Path(__file__).parents[1] / "trainers/tokenizer"
OPTIONS = "trainer.options."
SHORT = [f"{OPTIONS}phases.{number}.steps=2" for number in range(3)]
PLUGIN = '''
import torch
from torch import nn
from insighttok_ref.quantizers.base import Quantizer
from insighttok_ref.quantizers.build import build_quantizer
from insighttok_ref.tokenizers.base import Tokenizer, TokenizerOutput
from regionloss import hookimpl


class Signs(Quantizer):
    """The sign of each channel; remembers, a rank for itself, how often it was asked."""

    statistics = per_rank = ("asked",)

    def __init__(self, codebook_size: int, code_dim: int) -> None:
        super().__init__(codebook_size, code_dim)
        self.register_buffer("asked", torch.zeros(()))
        self.register_buffer("places", 2 ** torch.arange(code_dim))

    @property
    def codebook(self):
        return torch.arange(self.codebook_size)[:, None].bitwise_and(self.places).ne(0) * 2.0 - 1

    def forward(self, z):
        self.asked += self.training
        signs = torch.where(z > 0, 1.0, -1.0)
        ids = ((signs > 0).movedim(1, -1) * self.places).sum(-1).flatten(1)
        return z + (signs - z).detach(), (z - signs).square().mean() * (1 + torch.rand(())), ids


class Linear(Tokenizer):
    """Patches to codes and back, a matrix each."""

    def __init__(self, side: int = 4, quantizer: dict = {"use": "fsq", "levels": [4, 4, 4]}) -> None:
        super().__init__()
        self.downsampling = side
        self.encoder = nn.Conv2d(3, 3, side, side)
        self.quantize = build_quantizer(8 if "signs" in quantizer["use"] else 64, 3, quantizer)
        self.decoder = nn.ConvTranspose2d(3, 3, side, side)

    @property
    def last_layer(self):
        return self.decoder.weight

    def grid(self, image_size):
        return tuple(side // self.downsampling for side in image_size)

    def forward(self, x):
        z = self.encoder(x)
        z_q, loss, ids = self.quantize(z)
        return TokenizerOutput(self.decoder(z_q), loss, ids, z, z_q)

    def encode(self, x):
        return self.quantize.assign(self.encoder(x))

    def decode(self, ids, grid):
        return self.decoder(self.quantize.lookup(ids, grid))

    def set_trainable(self, parts):
        self.encoder.requires_grad_("encoder" in parts)
        self.decoder.requires_grad_("decoder" in parts)


class Half(Tokenizer):
    """Only half of a tokenizer."""


@hookimpl
def register_tokenizers(register) -> None:
    register("linear", f"{__name__}:Linear", summary="a matrix each way")
    register("half", f"{__name__}:Half", summary="no tokenizer")
    register("module", f"{__name__}:nn.Identity", summary="none either")


@hookimpl
def register_quantizers(register) -> None:
    register("signs", f"{__name__}:Signs", summary="the sign of each channel")
'''


def phases(folder: Path, model: str) -> Path:
    (folder / "mine.py").write_text(PLUGIN)
    (folder / "tiny_plugin.py").write_text((TRAINER / "tiny_plugin.py").read_text())
    text = (TRAINER / "tiny_phases.yaml").read_text().replace("[./tiny_plugin.py]", "[./tiny_plugin.py, ./mine.py]")
    head, _, rest = text.partition("    model:\n")
    data = rest[rest.index("    data:") :]
    (folder / "r.yaml").write_text(f"{head}    model: {model}\n{data}")
    return folder / "r.yaml"


def test_a_tokenizer_of_a_plugin_trains_and_is_read_again(tmp_path: Path) -> None:
    loaded = load_recipe(phases(tmp_path, "{use: linear, side: 8}"), SHORT)
    train(loaded, tmp_path / "run")
    with loaded.catalogue.in_use():
        first, last = (load_tokenizer(tmp_path / "run" / part) for part in ("regions", "decoder"))
    assert first.config == {"use": "mine/linear", "side": 8}
    assert torch.equal(first.encoder.weight, last.encoder.weight)  # the last phase trains the decoder alone
    assert not torch.equal(first.decoder.weight, last.decoder.weight)
    images = torch.rand(1, 3, 32, 32) * 2 - 1
    torch.testing.assert_close(last.decode(last.encode(images), (4, 4)), last(images).reconstruction)


def test_a_tokenizer_and_a_quantizer_of_a_plugin_go_on_bit_for_bit(tmp_path: Path) -> None:
    """From the checkpoint in the middle of the second phase, as if the run had been killed there."""
    keeping = [f"{OPTIONS}log.save_every=1", f"{OPTIONS}log.keep=9"]
    loaded = load_recipe(phases(tmp_path, "{use: linear, quantizer: {use: signs}}"), [*SHORT, *keeping])
    train(loaded, tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "killed")
    for left in ("tokenizer.safetensors", "regions", "decoder", *(f"checkpoints/step-{n:08d}" for n in (4, 5, 6))):
        path = tmp_path / "killed" / left
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    torch.manual_seed(99)
    train(loaded, tmp_path / "killed", tmp_path / "killed")
    with loaded.catalogue.in_use():
        for name in ("regions/tokenizer", "decoder/tokenizer", "decoder/tokenizer-average"):
            whole, resumed = (load_tokenizer(tmp_path / run / f"{name}.safetensors") for run in ("whole", "killed"))
            assert resumed.quantize.asked > 0
            assert all(torch.equal(value, resumed.state_dict()[key]) for key, value in whole.state_dict().items())
            assert whole.fingerprint == resumed.fingerprint


@pytest.mark.parametrize("use", [{"use": "linear", "side": 8}, {"use": "insighttok", "preset": "miniature"}])
def test_what_a_generator_needs_of_a_tokenizer(tmp_path: Path, use: dict[str, object]) -> None:
    """Ids below K, as many as the grid has places, row by row; and images of those ids."""
    with load_recipe(phases(tmp_path, "{use: linear}")).catalogue.in_use():
        tokenizer = build_tokenizer(use).eval()
    images = torch.rand(2, 3, 32, 64) * 2 - 1
    ids, (rows, columns) = tokenizer.encode(images), tokenizer.grid((32, 64))
    assert (rows, columns) == (32 // tokenizer.downsampling, 64 // tokenizer.downsampling)
    assert ids.shape == (2, tokenizer.tokens((32, 64))) == (2, rows * columns)
    assert ids.dtype == torch.int64
    assert 0 <= ids.min() <= ids.max() < tokenizer.codebook_size == len(tokenizer.codebook)
    torch.testing.assert_close(tokenizer.decode(ids, (rows, columns)), tokenizer(images).reconstruction)
    last = images.clone()
    last[..., -tokenizer.downsampling :, -tokenizer.downsampling :] = 1.0
    if use["use"] == "linear":  # it sees a patch at a time
        assert (tokenizer.encode(last) != ids).nonzero()[:, 1].unique().tolist() in ([], [rows * columns - 1])


@pytest.mark.parametrize(
    ("use", "sentence"),
    [
        ("half", r"'mine/half': expected methods decode, encode, forward, .*set_trainable, got none"),
        ("module", r"tokenizer 'mine/module': expected a Tokenizer, got Identity. Let its class extend insighttok_ref"),
    ],
)
def test_what_is_no_tokenizer_is_said(tmp_path: Path, use: str, sentence: str) -> None:
    with load_recipe(phases(tmp_path, "{use: linear}")).catalogue.in_use(), pytest.raises(InputError, match=sentence):
        build_tokenizer({"use": use})


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("{use: lienar}", "no tokenizer is named 'lienar'. Did you mean 'linear'"),
        ("{use: linear, sied: 4}", "sied: expected a known key, got 'sied'. Did you mean 'side'"),
        ("{use: insighttok, dropuot: 0}", "model.dropuot: expected a known key, got 'dropuot'. Did you mean 'dropout'"),
    ],
)
def test_mistakes_in_a_tokenizer_are_found_before_a_run(tmp_path: Path, model: str, sentence: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(phases(tmp_path, model))
    assert sentence in str(caught.value)


def test_the_default_under_its_name_is_the_default() -> None:
    sizes = {"ch": 16, "ch_mult": (1,), "num_res_blocks": 1, "z_channels": 8, "norm_groups": 8, "codebook_size": 8}
    for use in ({}, {"use": "insighttok"}, {"use": "insighttok/insighttok"}):
        made = build_tokenizer({**use, **sizes})
        assert isinstance(made, InsightTokenizer)
        assert "use" not in made.config
