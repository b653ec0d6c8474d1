"""A Llama of `transformers` as what a generator's language model begins from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from transformers import LlamaConfig

from insighttok_ref.generator.hub_folders import CONFIG, LLAMA, TEXT, files_of, places_in, read_json, special_names
from insighttok_ref.generator.model import InsightAR
from insighttok_ref.generator.presets import PRESETS
from insighttok_ref.generator.prompts import PromptFormat
from insighttok_ref.training.weight_files import WholeWeights
from regionloss.errors import InputError, WeightsError, expected
from regionloss.weights import readable

WHAT = "a Llama of transformers"
#: What decides the shapes of weights, or what they mean: it is the folder's to say.
FIXED = (
    *(
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "head_dim",
    ),
    *("hidden_act", "rms_norm_eps", "attention_bias", "mlp_bias", "tie_word_embeddings"),
)
#: What a recipe may say otherwise.
FREE = ("vocab_size", "max_position_embeddings", "rope_parameters", "attention_dropout", "initializer_range")
#: Rows of a generator that are those of text.
ROWS = ("language_model.model.embed_tokens.weight", InsightAR.TEXT_HEAD)
PREFIX = "language_model."
#: Old files hold the frequencies of positions, which follow from the configuration.
DERIVED = "rotary_emb.inv_freq"


@dataclass(frozen=True)
class LlamaStart:
    """A folder with a language model that has been trained, and what of it a generator takes.

    Args:
        folder: Where the model lies, with its text tokenizer.
        shape: Its shape, in the words of `transformers.LlamaConfig`, with room for the tokens of `form`.
        form: Format of prompts, with the text tokenizer of the folder.
        words: How many text tokens the folder's model knows.
    """

    folder: Path
    shape: Mapping[str, Any]
    form: PromptFormat
    words: int

    @classmethod
    def read(
        cls, folder: Path, text: Path | None = None, preset: str = "", shape: Mapping[str, Any] | None = None
    ) -> Self:
        """Read configuration and text tokenizer; no weights yet.

        Args:
            folder: What `save_pretrained` of a model and of its text tokenizer has written.
            text: Another text tokenizer than the folder's.
            preset: What the shape is said to be; empty for whatever it is.
            shape: What is otherwise than in the folder.

        Raises:
            WeightsError: A file is missing or damaged, or it is another model than a Llama.
            InputError: Its shape is another than is said.
        """
        told = read_json(folder / CONFIG, WHAT)
        if (kind := told.get("model_type")) != LLAMA:
            advice = "A generator's language model is a Llama; other models have other layers."
            raise WeightsError(expected(str(folder / CONFIG), f"the model_type '{LLAMA}'", repr(kind), advice))
        if "quantization_config" in told:
            raise WeightsError(expected(str(folder / CONFIG), "weights that are not quantised", "quantised ones"))
        with readable(folder / CONFIG, WHAT):
            known = LlamaConfig.from_dict(told).to_dict()
        check_shape(folder, known, PRESETS.get(preset, {}), shape or {})
        file = text or folder / TEXT
        if not file.is_file():
            advice = "Write it with AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER), or say model.text."
            raise WeightsError(expected(str(folder), "a text tokenizer", f"no file {file.name} there", advice))
        form = PromptFormat.completed(file, **special_names(file.parent))
        taken = {name: known[name] for name in (*FIXED, *FREE)} | dict(shape or {})
        words = known["vocab_size"]
        return cls(folder, {**taken, "vocab_size": max(taken["vocab_size"], form.rows)}, form, words)

    def weights(self) -> LlamaWeights:
        """Return the language model's weights under a generator's names; those of tokens new to it are the mean.

        Raises:
            WeightsError: Some are missing, have another shape, or are of other layers.
        """
        held = WholeWeights(files_of(self.folder, WHAT, places_in(self.folder, WHAT)), WHAT)
        with torch.device("meta"):
            wanted = InsightAR(self.shape, 1, 1).state_dict()
        found = {PREFIX + name for name in held.shapes if DERIVED not in name}
        tied = bool(self.shape["tie_word_embeddings"])
        names = [name for name in wanted if name.startswith(PREFIX) and not (tied and name == InsightAR.TEXT_HEAD)]
        if lacking := [name for name in names if name not in found]:
            missing = lacking[0].removeprefix(PREFIX)
            raise WeightsError(expected(str(self.folder), f"the weights '{missing}'", "none", "Is it whole?"))
        if odd := sorted(found - {*names, InsightAR.TEXT_HEAD}):
            got = f"others such as '{odd[0].removeprefix(PREFIX)}'"
            raise WeightsError(expected(str(self.folder), "the weights of a Llama alone", got))
        for name in names:
            have, theirs = held.shapes[name.removeprefix(PREFIX)], tuple(wanted[name].shape)
            shape = (self.words, *theirs[1:]) if name in ROWS else theirs
            if have != shape:
                where = f"{self.folder}, '{name.removeprefix(PREFIX)}'"
                raise WeightsError(expected(where, f"a shape {shape}", str(have)))
        return LlamaWeights(held, {name: tuple(wanted[name].shape) for name in names})

    def tensors(self) -> dict[str, Tensor]:
        """Return all of these weights; raises WeightsError."""
        weights = self.weights()
        return {name: weights.part(name, 0, prod(shape)).reshape(shape) for name, shape in weights.shapes.items()}


@dataclass(frozen=True)
class LlamaWeights:
    """Weights of a folder under a generator's names, of which no more is read than is asked for; see `Weights`.

    Args:
        held: The folder's own.
        shapes: Shapes of the generator's: of text tokens there may be more than the folder has.
    """

    held: WholeWeights
    shapes: Mapping[str, tuple[int, ...]]

    def part(self, name: str, first: int, last: int) -> Tensor:
        """Return some numbers of a weight; see `Weights`."""
        theirs = name.removeprefix(PREFIX)
        shape = self.held.shapes[theirs]
        count = prod(shape)
        found = self.held.part(theirs, min(first, count), min(last, count))
        if last <= count:
            return found
        mean = self.held.part(theirs, 0, count).reshape(shape).float().mean(0).to(found.dtype)
        return torch.cat([found, mean[torch.arange(max(first, count), last) % len(mean)]])


def check_shape(folder: Path, known: Mapping[str, Any], preset: Mapping[str, Any], shape: Mapping[str, Any]) -> None:
    """Raise InputError where a recipe says of a folder's model what it is not."""
    for key, told in (("model.preset", preset), ("model.shape", shape)):
        for name, value in told.items():
            if name in FIXED and value != known[name]:
                where = f"{key}.{name}" if told is shape else f"{key}, {name}"
                advice = "Leave it out: the folder says it."
                raise InputError(expected(where, f"{known[name]}, as {folder} has", str(value), advice))
    if shape.get("vocab_size", known["vocab_size"]) < known["vocab_size"]:
        wanted = f"at least {known['vocab_size']}, as {folder} has"
        raise InputError(expected("model.shape.vocab_size", wanted, str(shape["vocab_size"])))
