"""LlamaGenTok-AR, the paper's baseline: the same recipe on the tokens of a file in LlamaGen's layout, as typed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from insighttok_ref.generator.checkpoints import read_generator
from tests.insighttok_ref.cli.test_reconstruct import size_of, typed
from tests.insighttok_ref.tokenizers.insighttok.published_layouts import CODES, conv, double, run
from tests.insighttok_ref.tokens.images import write_tars
from tests.insighttok_ref.trainers.generator.conftest import TINY


def test_tokens_of_llamagen_are_learnt_and_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    weights = double("llamagen", 8)
    torch.save({"model": weights}, "vq_ds16_t2i.pt")
    write_tars(tmp_path / "shards", 2)
    data, phases = "trainer.options.data", "trainer.options.phases"
    sources = [f"{data}.sources.{name}.{key}" for name in ("near", "far") for key in ("tokens", "test")]
    places = [f"{sources[0]}=tokens", f"{sources[1]}=1", f"{sources[2]}=tokens", f"{sources[3]}=1"]
    steps = [f"{phases}.{number}.steps={count}" for number, count in enumerate((1, 2))]
    tokenizer = "llamagen.safetensors"
    for words in (
        ("checkpoint", "convert", "vq_ds16_t2i.pt", "--codebook", "normalised", "--out", tokenizer),
        ("tokenize", "shards", "--checkpoint", tokenizer, "--size", 16, "--out", "tokens"),
        ("train", TINY, f"{data}.tokenizer={tokenizer}", *places, *steps, "--out", "ar"),
        ("generate", "a door", "--checkpoint", "ar", "--n", 2, "--save", "images"),
    ):
        code, said = typed(*words)
        assert code == 0, said
    assert size_of(Path("images/0.png")) == (16, 16)
    generator = read_generator(Path("ar"))
    assert generator.model.config["code_dim"] == 8
    assert generator.model.adapter[0].in_features == 8
    codes = weights["quantize.embedding.weight"]
    codes = codes / codes.norm(dim=1, keepdim=True)
    torch.testing.assert_close(generator.model.codebook.weight, codes)
    ids = torch.arange(16)[None] % CODES
    latents = conv(weights, "post_quant_conv", codes[ids].unflatten(1, (4, 4)).permute(0, 3, 1, 2), 0)
    wanted = run(weights, "llamagen", "decoder", latents).clamp(-1, 1)
    torch.testing.assert_close(generator.draw(ids), wanted, atol=1e-4, rtol=0)
