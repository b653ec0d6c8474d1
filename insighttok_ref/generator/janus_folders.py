"""A generator as the folder of `transformers`' JanusForConditionalGeneration, there and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, cast

import torch
from huggingface_hub import save_torch_state_dict
from torch import Tensor
from transformers import GenerationConfig, JanusConfig, JanusForConditionalGeneration

from insighttok_ref.generator.checkpoints import IMAGES, LoadedGenerator, built, stored, told_of
from insighttok_ref.generator.hub_folders import (
    CONFIG,
    JANUS,
    PREPROCESSOR,
    PROCESSOR,
    TEXT,
    TEXT_CONFIG,
    folder_of,
    read_json,
    read_weights,
    special_names,
)
from insighttok_ref.generator.janus import (
    BESIDES,
    VQ,
    from_janus,
    shape_of,
    to_janus,
    vq_config,
    vq_from_janus,
    vq_to_janus,
    why_no_vq_model,
)
from insighttok_ref.generator.prompts import PromptFormat
from insighttok_ref.tokenizers.base import Tokenizer
from insighttok_ref.tokenizers.insighttok.checkpoints import read_tokenizer, save_tokenizer, tokenizer_of
from regionloss.disk import whole
from regionloss.errors import InputError, WeightsError, expected
from regionloss.weights import readable

WHAT = "a Janus of transformers"
#: What DeepSeek's own layout calls itself.
ORIGINAL = "multi_modality"
#: The paper's settings of drawing.
GUIDANCE, TOP_K = 5.0, 4096
#: A vision tower of the smallest size: a configuration must have one. Its patches say how many ids an image has.
STAND_IN = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1, "mlp_ratio": 1.0, "patch_size": 16}
#: A VQ model of the smallest size, for tokenizers that are none.
SMALLEST = {"base_channels": 32, "channel_multiplier": [1], "num_res_blocks": 1, "latent_channels": 32}
#: Tokens that a processor of Janus must have a name for. No prompt here has them.
UNUSED = {"eoi_token": "<end_of_image>", "image_token": "<image_placeholder>"}
NO_VISION = "Its vision tower and its aligner are zeros, the smallest there can be: it draws images, and looks at none."
NO_TEXT = "Its text head is that of the language model's start: training here never moves it."


@dataclass(frozen=True)
class ExchangedGenerator:
    """A generator on its way from one kind of files to another.

    Args:
        generator: What draws images.
        besides: What a Janus has beside it, under its names: vision tower and aligner.
        config: The configuration of that Janus; empty for generators that never were one.
        notes: Sentences on what was read.
    """

    generator: LoadedGenerator
    besides: Mapping[str, Tensor] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_janus(path: Path) -> ExchangedGenerator:
    """Read a Janus; where regionloss wrote the folder, all comes back as it was.

    Args:
        path: Its folder with safetensors in one file or in shards, or a file in it.

    Raises:
        WeightsError: A file is missing or damaged, or it is no Janus of transformers.
        InputError: The text tokenizer lacks a token of the prompts.
    """
    folder = folder_of(path)
    config = read_config(folder)
    weights, texts = read_weights(folder, WHAT)
    tensors, besides = from_janus(weights)
    embeddings, head = (tensors.get(f"language_model.{name}.weight") for name in ("model.embed_tokens", "lm_head"))
    if head is not None and config["tie_word_embeddings"]:  # it was stored twice, or is tied no more
        config["tie_word_embeddings"] = embeddings is not None and head.equal(embeddings)
        if config["tie_word_embeddings"]:
            del tensors["language_model.lm_head.weight"]
    told = json.loads(texts["generator"]) if "generator" in texts else {}
    model = built(told.get("model") or shape_of(config, tensors), tensors, str(folder))
    form = PromptFormat.read(folder / TEXT, **(told.get("prompt") or special_names(folder)))
    side = config["vq_config"]["num_patches"]
    rows, columns = told.get("grid") or (side, side)
    images, notes = read_images(folder, besides)
    generator = LoadedGenerator(model, form, images, (rows, columns), tuple(told.get("untrained", ())))
    others = {name: value for name, value in besides.items() if not name.startswith(VQ)}
    if not any(value.any() for value in others.values()):
        return ExchangedGenerator(generator, notes=notes)
    return ExchangedGenerator(generator, others, config, notes)


def read_config(folder: Path) -> dict[str, Any]:
    """Return the whole configuration of a Janus, its defaults too. Raises WeightsError for another model."""
    config = read_json(folder / CONFIG, WHAT)
    kind = config.get("model_type")
    if kind != JANUS:
        advice = "Convert DeepSeek's own layout with transformers' script for Janus." if kind == ORIGINAL else ""
        raise WeightsError(expected(str(folder / CONFIG), f"the model_type '{JANUS}'", repr(kind), advice))
    with readable(folder / CONFIG, WHAT):
        found: dict[str, Any] = JanusConfig.from_dict(config).to_dict()
    count, side = found["vision_config"]["num_image_tokens"], found["vq_config"]["num_patches"]
    if count != side**2:
        raise WeightsError(expected(str(folder / CONFIG), f"{side} x {side} ids of an image", f"{count}"))
    return found


def read_images(folder: Path, besides: Mapping[str, Tensor]) -> tuple[Tokenizer, tuple[str, ...]]:
    """Return the tokenizer of a Janus's images: its VQ model, or the file of ours beside it where both are the same."""
    beside, held = folder / IMAGES, vq_from_janus(besides)
    if beside.is_file():
        found = read_tokenizer(beside).model
        mine = vq_from_janus(vq_to_janus(found)) if held else {}
        if mine.keys() == held.keys() and all(held[name].to(one.dtype).equal(one) for name, one in mine.items()):
            return found, ()
    if not held:
        raise WeightsError(expected(str(folder), f"a VQ model, or {IMAGES} beside it", "neither"))
    read = tokenizer_of(held, "normalised", f"{folder}, '{VQ}'")
    return read.model, (f"Its VQ model becomes the tokenizer; {', '.join(read.filled)} begin anew.",)


def save_janus(folder: Path, exchanged: ExchangedGenerator) -> tuple[str, ...]:
    """Write a folder that `transformers` loads without our code; return sentences on what is not in it.

    Args:
        folder: New or empty.
        exchanged: The generator, and what a Janus has beside it.

    Raises:
        InputError: Its ids are no square.
        DiskError: The disk is full, or not to be written.
    """
    generator = exchanged.generator
    rows, columns = generator.grid
    if rows != columns:
        advice = "Janus has a square of ids for an image."
        raise InputError(expected("--to janus", "as many rows of ids as columns", f"{rows} x {columns}", advice))
    odd = why_no_vq_model(generator.tokenizer, generator.grid)
    config = config_of(exchanged, {} if odd else vq_config(generator.tokenizer))
    weights = to_janus(stored(generator.model)) | (dict(exchanged.besides) or zeros_beside(config))
    if not odd:
        kind = generator.model.codebook.weight.dtype
        weights |= {name: shortest(value, kind) for name, value in vq_to_janus(generator.tokenizer).items()}
    with whole(folder) as temporary:
        temporary.mkdir()
        save_torch_state_dict(weights, temporary, metadata={"generator": json.dumps(told_of(generator))})
        config.save_pretrained(temporary)
        settings_of(generator).save_pretrained(temporary)
        save_processor(generator, config, temporary)
        save_tokenizer(generator.tokenizer, temporary / IMAGES)
    no_images = f"Not in it: weights of a VQ model, since the tokenizer cannot be one: {odd}. {IMAGES} draws its ids."
    return (*[NO_VISION] * (not exchanged.besides), *[NO_TEXT] * (not generator.model.tied), *[no_images] * bool(odd))


def shortest(value: Tensor, kind: torch.dtype) -> Tensor:
    """Return weights as the language model's are stored, where that loses nothing: a tokenizer reads all as float32."""
    value = value.detach().cpu().contiguous()
    short = value.to(kind)
    return short if short.to(value.dtype).equal(value) else value


def zeros_beside(config: JanusConfig) -> dict[str, Tensor]:
    """Return a vision tower and an aligner of zeros, in which nothing is missing for whoever loads them."""
    with torch.device("meta"):
        whole_model = JanusForConditionalGeneration(config)
    beside = {name: value for name, value in whole_model.state_dict().items() if name.startswith(BESIDES)}
    return {
        name: torch.zeros(value.shape, dtype=value.dtype) for name, value in beside.items() if not name.startswith(VQ)
    }


def config_of(exchanged: ExchangedGenerator, vq: Mapping[str, Any]) -> JanusConfig:
    """Return the configuration of the Janus that a generator is.

    Args:
        exchanged: The generator, and that of the Janus it was read from.
        vq: Shape of its VQ model; empty for the smallest, which has no weights.
    """
    generator, form = exchanged.generator, exchanged.generator.form
    model, before = generator.model, exchanged.config
    language, shape = model.language_model.config, cast(dict[str, Any], model.config["shape"])
    text = {**shape, "model_type": "llama"}
    text |= {"bos_token_id": form.id_of(form.begin), "pad_token_id": form.id_of(form.pad)}
    side, width = generator.grid[0], language.hidden_size
    vision = before.get("vision_config") or {**STAND_IN, "image_size": side * STAND_IN["patch_size"]}
    codes = {"embed_dim": model.codebook.embedding_dim, "num_embeddings": model.codes}
    return JanusConfig(
        text_config=text,
        vision_config={**vision, "projection_dim": width, "num_image_tokens": prod(generator.grid)},
        vq_config={**codes, **(vq or SMALLEST), "projection_dim": width, "image_token_embed_dim": width},
        image_token_id=before.get("image_token_id", language.vocab_size),
        tie_word_embeddings=model.tied,
        architectures=["JanusForConditionalGeneration"],
        dtype=model.codebook.weight.dtype,
    )


def settings_of(generator: LoadedGenerator) -> GenerationConfig:
    """Return how `transformers` draws by default: as the paper does."""
    form = generator.form
    settings: Callable[..., GenerationConfig] = GenerationConfig  # its constructor has no types
    return settings(
        bos_token_id=form.id_of(form.begin),
        pad_token_id=form.id_of(form.pad),
        do_sample=True,
        guidance_scale=GUIDANCE,
        top_k=min(TOP_K, generator.model.codes),
        generation_kwargs={"boi_token_id": form.id_of(form.start)},
    )


def save_processor(generator: LoadedGenerator, config: JanusConfig, folder: Path) -> None:
    """Write what makes text into ids, and images into pixels and back, where `transformers` looks for it."""
    form, side = generator.form, config.to_dict()["vision_config"]["image_size"]
    form.text.save(str(folder / TEXT))
    names = {"bos_token": form.begin, "boi_token": form.start, "pad_token": form.pad, **UNUSED}
    text = {"tokenizer_class": "PreTrainedTokenizerFast", "padding_side": "left", **names}
    images = {
        "image_processor_type": "JanusImageProcessor",
        "size": {"height": side, "width": side},
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    both = {"processor_class": "JanusProcessor", "num_image_tokens": prod(generator.grid)}
    for name, told in ((TEXT_CONFIG, text), (PREPROCESSOR, images), (PROCESSOR, both)):
        (folder / name).write_text(json.dumps(told, indent=2, ensure_ascii=False), encoding="utf-8")
