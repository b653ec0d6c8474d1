"""Quantizers by name: ours by a key of a recipe, a stranger's from a file beside it, through a whole run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from insighttok_ref.quantizers.ema import EMAQuantizer
from insighttok_ref.quantizers.fsq import FSQuantizer
from insighttok_ref.tokenizers.insighttok.checkpoints import load_tokenizer, save_tokenizer
from insighttok_ref.tokenizers.insighttok.model import InsightTokenizer
from regionloss.cli.main import app
from regionloss.errors import InputError, RecipeError, WeightsError
from regionloss.recipe import load_recipe, train

TRAINER = Path(__file__).parents[1] / "trainers/tokenizer"
OPTIONS = "trainer.options."
FSQ = f"{OPTIONS}model.quantizer={{use: fsq, levels: [4, 4, 4]}}"
SIZES = [f"{OPTIONS}model.codebook_size=64", f"{OPTIONS}model.code_dim=3"]
SHORT = [f"{OPTIONS}phases.{number}.steps=2" for number in range(3)]
PLUGIN = '''
import torch
from torch import Tensor, nn
from insighttok_ref.quantizers.base import Quantizer
from regionloss import hookimpl


class Learnt(Quantizer):
    """Nearest of K vectors that learn by gradients (van den Oord et al. 2017)."""

    def __init__(self, codebook_size: int, code_dim: int, beta: float = 0.25) -> None:
        super().__init__(codebook_size, code_dim)
        self.beta, self.codes = beta, nn.Parameter(torch.randn(codebook_size, code_dim))
        self.register_buffer("scale", torch.ones(()), persistent=False)

    @property
    def codebook(self) -> Tensor:
        return self.codes * self.scale

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        tokens = z.movedim(1, -1)
        ids = torch.cdist(tokens.detach().flatten(0, 2), self.codebook.detach()).argmin(1)
        chosen = self.codebook[ids].view_as(tokens)
        loss = (chosen - tokens.detach()).square().mean() + self.beta * (chosen.detach() - tokens).square().mean()
        return (tokens + (chosen - tokens).detach()).movedim(-1, 1), loss, ids.view(len(z), -1)


@hookimpl
def register_quantizers(register) -> None:
    register("learnt", f"{__name__}:Learnt", summary="codes that learn by gradients")
'''


def phases(folder: Path) -> Path:
    """Write the recipe of three phases with a plugin that brings a quantizer."""
    (folder / "mine.py").write_text(PLUGIN)
    (folder / "tiny_plugin.py").write_text((TRAINER / "tiny_plugin.py").read_text())
    text = (TRAINER / "tiny_phases.yaml").read_text().replace("[./tiny_plugin.py]", "[./tiny_plugin.py, ./mine.py]")
    (folder / "r.yaml").write_text(text)
    return folder / "r.yaml"


def test_a_key_of_the_recipe_trains_another_quantizer(tmp_path: Path) -> None:
    train(load_recipe(TRAINER / "tiny_phases.yaml", [FSQ, *SIZES, *SHORT]), tmp_path / "run")
    model = load_tokenizer(tmp_path / "run/tokenizer.safetensors")
    assert isinstance(model.quantize, FSQuantizer)
    assert model.config["quantizer"] == {"use": "insighttok/fsq", "levels": [4, 4, 4]}
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert all(0 < line["codebook/usage"] <= 1 for line in lines if "loss/total" in line)
    images = torch.rand(1, 3, 32, 32) * 2 - 1
    torch.testing.assert_close(model.decode(model.encode(images), (8, 8)), model(images).reconstruction)


def test_a_quantizer_of_a_plugin_beside_the_recipe_trains_and_is_read_again(tmp_path: Path) -> None:
    use = f"{OPTIONS}model.quantizer={{use: learnt, beta: 0.5}}"
    loaded = load_recipe(phases(tmp_path), [use, *SHORT])
    train(loaded, tmp_path / "run")
    with loaded.catalogue.in_use():
        first, last = (
            load_tokenizer(tmp_path / "run" / part / "tokenizer.safetensors") for part in ("regions", "decoder")
        )
    assert first.config["quantizer"] == {"use": "mine/learnt", "beta": 0.5}
    assert first.quantize.scale == 1  # a buffer that no file keeps
    assert not torch.equal(first.codebook, InsightTokenizer(codebook_size=32, code_dim=8).codebook)
    assert torch.equal(first.codebook, last.codebook)  # the last phase trains the decoder alone
    with pytest.raises(WeightsError, match=r"does not build a tokenizer \(no quantizer is named 'mine/learnt'"):
        load_tokenizer(tmp_path / "run/tokenizer.safetensors")


@pytest.mark.parametrize(
    ("quantizer", "sentence"),
    [
        ("{use: fqs}", "model.quantizer: no quantizer is named 'fqs'. Did you mean 'fsq'"),
        ("{use: fsq}", "levels: expected a value, got none"),
        (
            "{use: fsq, levels: [4, 4, 4], levles: 1}",
            "levles: expected a known key, got 'levles'. Did you mean 'levels'",
        ),
        ("{use: fsq, levels: [4, 4, 4], code_dim: 3}", "code_dim: expected it among the model's options"),
        ("{use: ema, deacy: 0.9}", "model.quantizer.deacy: expected a known key, got 'deacy'. Did you mean 'decay'"),
        ("{deacy: 0.9}", "model.quantizer.deacy: expected a known key, got 'deacy'. Did you mean 'decay'"),
        ("{use: 3}", "model.quantizer.use: expected a text, got 3"),
        ("fsq", "model.quantizer: expected a mapping"),
    ],
)
def test_mistakes_in_a_quantizer_are_found_before_a_run(quantizer: str, sentence: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(TRAINER / "tiny_phases.yaml", [f"{OPTIONS}model.quantizer={quantizer}"])
    assert sentence in str(caught.value)


def tiny(**options: object) -> InsightTokenizer:
    torch.manual_seed(0)
    sizes = {"ch": 16, "ch_mult": (1,), "num_res_blocks": 1, "z_channels": 8, "norm_groups": 8, "attn_resolutions": ()}
    return InsightTokenizer(**{**sizes, "code_dim": 3, "codebook_size": 64, **options})


def test_the_default_under_its_name_is_the_default() -> None:
    """Recipes and checkpoints from before there were names go on meaning what they meant."""
    unnamed, *named = (tiny(quantizer={**use, "decay": 0.9}) for use in ({}, {"use": "ema"}, {"use": "insighttok/ema"}))
    assert isinstance(unnamed.quantize, EMAQuantizer)
    assert {model.fingerprint for model in named} == {unnamed.fingerprint}
    assert [model.config for model in named] == [unnamed.config] * 2


def test_tokens_of_another_quantizer_have_another_fingerprint(tmp_path: Path) -> None:
    levels = ([4, 4, 4], [2, 4, 8])
    models = [tiny(), *(tiny(quantizer={"use": "fsq", "levels": each}) for each in levels)]
    assert len({model.fingerprint for model in models}) == 3
    save_tokenizer(models[1], tmp_path / "t.safetensors")
    assert load_tokenizer(tmp_path / "t.safetensors").fingerprint == models[1].fingerprint
    run = [f"{OPTIONS}start_from={tmp_path / 't.safetensors'}", *SIZES, *SHORT]
    with pytest.raises(InputError, match=r"quantizer\.use insighttok/fsq \(here insighttok/ema\)"):
        train(load_recipe(TRAINER / "tiny_phases.yaml", run), tmp_path / "run")


def test_a_file_of_another_quantizer_is_converted_or_refused_in_a_sentence(tmp_path: Path) -> None:
    save_tokenizer(
        tiny(quantizer={"use": "fsq", "levels": [4, 4, 4]}, norm_groups=32, ch=32), tmp_path / "t.safetensors"
    )
    words = ["checkpoint", "convert", str(tmp_path / "t.safetensors")]
    done = CliRunner().invoke(app, [*words, "--to", "ours"])
    assert "64 codes of length 3 (FSQuantizer)" in done.output
    refused = CliRunner().invoke(app, [*words, "--to", "official"])
    assert "expected the quantizer 'insighttok/ema', got 'insighttok/fsq'" in " ".join(refused.output.split())


def test_half_a_quantizer_is_said(tmp_path: Path) -> None:
    recipe = phases(tmp_path)
    with (tmp_path / "mine.py").open("a") as plugin:
        plugin.write('    register("half", f"{__name__}:Quantizer", summary="no quantizer")\n')
    with load_recipe(recipe).catalogue.in_use(), pytest.raises(InputError, match="expected methods codebook, forward"):
        tiny(quantizer={"use": "half"})
