"""A Llama that `transformers` wrote, as the start of a generator."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, LlamaConfig, LlamaForCausalLM

from insighttok_ref.generator.llama_start import LlamaStart
from insighttok_ref.generator.model import InsightAR
from insighttok_ref.generator.prompts import PAD, START, PromptFormat
from insighttok_ref.training.weight_files import WholeWeights, part_of
from regionloss.errors import InputError, RegionLossError

WORDS = ["<s>", "<unk>", "a", "red", "door"]
SHAPE = {
    "vocab_size": 7,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "rope_theta": 500.0,
    "initializer_range": 0.3,
}


def saved_llama(folder: Path, **options: object) -> LlamaForCausalLM:
    """Write a small Llama whose text tokenizer knows a few words, and none of a generator's tokens but the first."""
    torch.manual_seed(1)
    model = LlamaForCausalLM(LlamaConfig(**{**SHAPE, **options})).eval()
    model.save_pretrained(folder, max_shard_size="20KB")
    text = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>"))
    text.pre_tokenizer = pre_tokenizers.Whitespace()
    text.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": {"content": "<s>"}, "pad_token": None}))
    return model


def begun(start: LlamaStart) -> InsightAR:
    model = InsightAR.for_codebook(start.shape, torch.randn(20, 4))
    model.load_state_dict(start.tensors(), strict=False)
    return model.eval()


@pytest.mark.parametrize("tied", [False, True])
def test_a_generator_reads_as_the_llama_does(tmp_path: Path, tied: bool) -> None:
    theirs = saved_llama(tmp_path, tie_word_embeddings=tied)
    start = LlamaStart.read(tmp_path)
    assert (start.form.begin, start.form.start, start.form.pad) == ("<s>", START, PAD)
    assert (start.shape["vocab_size"], start.form.rows) == (7, 7)  # two rows were to spare
    mine, ids = begun(start), torch.tensor([[0, 2, 3, 4]])
    with torch.no_grad():
        wanted = theirs.model(input_ids=ids).last_hidden_state
        torch.testing.assert_close(mine.hidden(mine.embed_text(ids), None), wanted)
        torch.testing.assert_close(mine.language_model(input_ids=ids).logits, theirs(input_ids=ids).logits)
    assert mine.tied == tied


@pytest.mark.parametrize("tied", [False, True])
def test_tokens_that_are_new_begin_as_the_mean(tmp_path: Path, tied: bool) -> None:
    theirs = saved_llama(tmp_path, vocab_size=6, tie_word_embeddings=tied)
    start = LlamaStart.read(tmp_path)
    assert (start.shape["vocab_size"], start.form.id_of(START), start.form.id_of(PAD)) == (7, 5, 6)
    rows = start.tensors()["language_model.model.embed_tokens.weight"]
    assert rows[:6].equal(theirs.model.embed_tokens.weight)
    torch.testing.assert_close(rows[6], theirs.model.embed_tokens.weight.mean(0))
    assert begun(start)(start.form.encode(["a red door"]), torch.zeros(1, 9, dtype=torch.long)).shape == (1, 9, 20)


def test_a_rank_reads_its_own_part_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved_llama(tmp_path, vocab_size=6)
    start, read, asked = LlamaStart.read(tmp_path), WholeWeights.part, list[int]()
    whole, weights = start.tensors(), start.weights()

    def counted(self: WholeWeights, name: str, first: int, last: int) -> torch.Tensor:
        asked.append(last - first)
        return read(self, name, first, last)

    monkeypatch.setattr(WholeWeights, "part", counted)
    assert whole.keys() == weights.shapes.keys()
    total = sum(tensor.numel() for tensor in whole.values())
    for name, tensor in whole.items():
        parts = [weights.part(name, *part_of(tensor.numel(), rank, 3)) for rank in range(3)]
        assert torch.cat(parts).equal(tensor.flatten())
    assert sum(asked) == total - 2 * 32 + 2 * 6 * 32  # the mean of two weights' rows needs them all
    asked.clear()
    for name, tensor in whole.items():
        weights.part(name, *part_of(tensor.numel(), 0, 3))
    assert sum(asked) < total / 3 + len(whole)


def test_a_text_tokenizer_may_lie_elsewhere_and_more_be_said(tmp_path: Path) -> None:
    saved_llama(tmp_path / "llama")
    PromptFormat.of_bytes().text.save(str(tmp_path / "bytes.json"))
    start = LlamaStart.read(tmp_path / "llama", tmp_path / "bytes.json", shape={"max_position_embeddings": 900})
    assert (start.shape["vocab_size"], start.shape["max_position_embeddings"]) == (259, 900)
    assert begun(start).context == 900


def test_troubles_are_sentences(tmp_path: Path) -> None:
    folder = tmp_path / "llama"
    saved_llama(folder)
    config = json.loads((folder / "config.json").read_text())

    def refused(sentence: str, **options: object) -> None:
        with pytest.raises(RegionLossError, match=sentence):
            LlamaStart.read(folder, **options).tensors()

    with pytest.raises(
        RegionLossError, match=r"none: expected a Llama of transformers, got no file config\.json there"
    ):
        LlamaStart.read(tmp_path / "none")
    refused(r"model\.shape\.hidden_size: expected 32, as .*llama has, got 64\. Leave it out", shape={"hidden_size": 64})
    refused(r"model\.preset, hidden_size: expected 32, as .*llama has, got 4096", preset="7B")
    refused(r"model\.shape\.vocab_size: expected at least 7, as .*llama has, got 3", shape={"vocab_size": 3})
    refused(r"llama: expected a text tokenizer, got no file mine\.json there", text=tmp_path / "mine.json")
    (folder / "tokenizer.json").rename(tmp_path / "kept.json")
    refused(r"llama: expected a text tokenizer, got no file tokenizer\.json there\. Write it with AutoTokenizer")
    (tmp_path / "kept.json").rename(folder / "tokenizer.json")
    first = sorted(folder.glob("model-*"))[0]
    tensors = load_file(first)
    name = next(iter(tensors))
    save_file(tensors | {name: tensors[name][:-1]}, first, {"format": "pt"})
    refused(rf"llama, '{name}': expected a shape \(.*\), got \(")
    save_file(tensors | {"model.layers.0.self_attn.q_proj.bias": torch.zeros(32)}, first, {"format": "pt"})
    refused(
        r"llama: expected the weights of a Llama alone, got others such as 'model\.layers\.0\.self_attn\.q_proj\.bias'"
    )
    first.write_bytes(first.read_bytes()[:-9])
    refused(rf"{first.name}: cannot be read as a Llama of transformers")
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": {}}))
    refused(r"config\.json: expected weights that are not quantised, got quantised ones")
    GPT2Config(vocab_size=9, n_positions=9).save_pretrained(folder)
    refused(r"config\.json: expected the model_type 'llama', got 'gpt2'\. A generator's language model is a Llama")
    with pytest.raises(InputError, match=r"text tokenizer: expected the token"):
        PromptFormat.read(folder / "tokenizer.json")
