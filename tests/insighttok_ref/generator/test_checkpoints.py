"""Generators on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from insighttok_ref.generator.checkpoints import IMAGES, MODEL, TEXT, LoadedGenerator, read_generator, save_generator
from insighttok_ref.generator.model import InsightAR
from insighttok_ref.generator.prompts import PromptFormat
from insighttok_ref.tokenizers.insighttok.checkpoints import read_tokenizer, save_tokenizer
from insighttok_ref.tokenizers.insighttok.residual import ResidualTokenizer
from regionloss.errors import InputError, WeightsError
from tests.insighttok_ref.generator.tiny import SHAPE
from tests.insighttok_ref.tokens.images import saved, tokenizer


def generator(**shape: object) -> LoadedGenerator:
    images = tokenizer()
    torch.manual_seed(3)
    model = InsightAR.from_preset("tiny", images.codebook, **SHAPE, **shape).eval()
    return LoadedGenerator(model, PromptFormat.of_bytes(), images, images.grid((16, 16)))


@pytest.mark.parametrize("tied", [False, True])
def test_a_generator_comes_back_as_it_was(tmp_path: Path, tied: bool) -> None:
    written = generator(tie_word_embeddings=tied)
    save_generator(tmp_path / "ar", written)
    for path in (tmp_path / "ar", tmp_path / "ar" / MODEL):
        found = read_generator(path)
        assert found.grid == (8, 8)
        assert found.form.names == written.form.names
        weights = found.model.state_dict()
        assert weights.keys() == written.model.state_dict().keys()
        assert all(weights[name].equal(value) for name, value in written.model.state_dict().items())
        prompts = found.form.encode(["a door"])
        ids = torch.arange(64)[None]
        with torch.no_grad():
            torch.testing.assert_close(found.model(prompts, ids), written.model(prompts, ids))
        assert found.draw(ids).equal(written.draw(ids))


def test_the_tokenizer_may_lie_elsewhere_but_is_the_same(tmp_path: Path) -> None:
    save_generator(tmp_path / "ar", generator())
    (tmp_path / "ar" / IMAGES).rename(tmp_path / "mine.safetensors")
    with pytest.raises(WeightsError, match=r"tokenizer.safetensors: there is no such file"):
        read_generator(tmp_path / "ar")
    assert read_generator(tmp_path / "ar", tmp_path / "mine.safetensors").tokens == 64
    other = saved(tmp_path / "other.safetensors", seed=1)
    first, second = (one.fingerprint[:12] for one in (tokenizer(), tokenizer(1)))
    wanted = rf"other.safetensors: expected the tokenizer {first}, whose ids generator.safetensors writes, got the"
    with pytest.raises(InputError, match=rf"{wanted} tokenizer {second}. Ids of one mean other pictures"):
        read_generator(tmp_path / "ar", other)
    with pytest.raises(InputError, match=r"a generator: expected a tokenizer of 300 codes, got one of 99"):
        replace(generator(), tokenizer=tokenizer(codes=99))


def test_what_repairs_the_tokenizer_draws_its_ids(tmp_path: Path) -> None:
    written = generator()
    save_generator(tmp_path / "ar", written)
    base = read_tokenizer(tmp_path / "ar").model
    repair = ResidualTokenizer(base, tmp_path / "ar" / IMAGES)
    torch.nn.init.normal_(repair.last_layer, std=0.1)
    save_tokenizer(repair, tmp_path / "residual.safetensors")
    found, ids = read_generator(tmp_path / "ar", tmp_path / "residual.safetensors"), torch.arange(64)[None]
    with torch.no_grad():
        assert found.draw(ids).equal(repair.decode(ids, (8, 8)).clamp(-1, 1))
        assert not found.draw(ids).equal(written.draw(ids))


def test_damage_is_a_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "ar"

    def refused(sentence: str, path: Path = folder) -> None:
        with pytest.raises((WeightsError, InputError), match=sentence):
            read_generator(path)
        save_generator(folder, generator())

    refused(r"ar: expected a generator, got no file generator.safetensors there. Check the path.")
    refused(r"expected a generator, got no file generator.safetensors there. Name the folder", tmp_path)
    refused(r"tokenizer.safetensors: expected a generator, got a file of tensors that does not say", folder / IMAGES)
    (folder / MODEL).write_bytes((folder / MODEL).read_bytes()[:5000])
    refused(r"generator.safetensors")
    (folder / TEXT).write_text("")
    refused(r"text.json: expected a text tokenizer, got")
    told = '{"model": {"shape": {}, "codes": 3, "code_dim": -1}, "prompt": {}, "tokenizer": "", "grid": [1, 1]}'
    save_file({"a": torch.zeros(1)}, folder / MODEL, metadata={"generator": told})
    refused(r"generator.safetensors: ")
