"""A tokenizer of a plugin beside the recipe, by name: trained in phases, written, and read again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from insighttok_ref.tokenizers.build import build_tokenizer
from insighttok_ref.tokenizers.insighttok.checkpoints import load_tokenizer
from insighttok_ref.tokenizers.insighttok.model import InsightTokenizer
from regionloss.errors import RecipeError
from regionloss.recipe import load_recipe, train

TRAINER = Path(__file__).parents[1] / "trainers/tokenizer"
OPTIONS = "trainer.options."
SHORT = [f"{OPTIONS}phases.{number}.steps=2" for number in range(3)]
PLUGIN = '''
from torch import nn
from insighttok_ref.quantizers.build import build_quantizer
from insighttok_ref.tokenizers.base import TokenizerOutput
from regionloss import hookimpl


class Linear(nn.Module):
    """Patches to codes and back, a matrix each."""

    def __init__(self, side: int = 4, fingerprint: str = "linear") -> None:
        super().__init__()
        self.downsampling, self.fingerprint = side, fingerprint
        self.encoder = nn.Conv2d(3, 3, side, side)
        self.quantize = build_quantizer(64, 3, {"use": "fsq", "levels": [4, 4, 4]})
        self.decoder = nn.ConvTranspose2d(3, 3, side, side)

    @property
    def last_layer(self):
        return self.decoder.weight

    @property
    def codebook(self):
        return self.quantize.codebook

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


@hookimpl
def register_tokenizers(register) -> None:
    register("linear", f"{__name__}:Linear", summary="a matrix each way")
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
