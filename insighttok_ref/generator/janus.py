"""Names of weights and configurations: those of `transformers`' Janus, and ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from insighttok_ref.tokenizers.base import Tokenizer
from regionloss.errors import WeightsError, expected

#: Ours -> Janus's, by how names begin.
NAMES = {
    "language_model.model.": "model.language_model.",
    "language_model.lm_head.": "lm_head.",
    "codebook.": "model.generation_embeddings.",
    "adapter.0.": "model.generation_aligner.fc1.",
    "adapter.2.": "model.generation_aligner.hidden_layers.0.",
    "head.0.": "model.generation_head.proj_out.",
    "head.2.": "model.generation_head.vision_head.",
}
#: What Janus has besides: it looks at images with it, and draws them.
VQ = "model.vqmodel."
BESIDES = ("model.vision_model.", "model.aligner.", VQ)
#: The groups of its VQ model's norms.
GROUPS = 32


def to_janus(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a generator's weights under the names that `transformers`' JanusForConditionalGeneration gives them.

    Its vision tower and its image tokenizer are not among them.

    Raises:
        WeightsError: A weight is none of a generator's.
    """
    return renamed(tensors, NAMES)


def from_janus(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the generator's weights of a Janus under our names, and what else is in it, unchanged.

    Raises:
        WeightsError: Weights that Janus does not have.
    """
    besides = {name: value for name, value in tensors.items() if name.startswith(BESIDES)}
    ours = {name: value for name, value in tensors.items() if name not in besides}
    return renamed(ours, {theirs: own for own, theirs in NAMES.items()}), besides


def shape_of(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the arguments of `InsightAR` for a Janus.

    Args:
        config: What its `config.json` says.
        tensors: Its weights under our names.

    Raises:
        WeightsError: No shape of a language model, or no codebook.
    """
    codes = tensors.get("codebook.weight")
    if codes is None or codes.ndim != 2 or not isinstance(config.get("text_config"), Mapping):
        raise WeightsError(expected("Janus", "a text_config and a codebook", "a model without them"))
    shape = {**config["text_config"], "tie_word_embeddings": bool(config.get("tie_word_embeddings", False))}
    return {"shape": shape, "codes": codes.shape[0], "code_dim": codes.shape[1]}


def why_no_vq_model(tokenizer: Tokenizer, grid: tuple[int, int]) -> str:
    """Return what a tokenizer has that Janus's VQ model cannot have; empty where it is one."""
    config = tokenizer.config
    if "use" in config:
        return f"it is a '{config['use']}'"
    if config["patch_size"] != 1:
        return f"it folds patches of {config['patch_size']} pixels"
    if config["norm_groups"] != GROUPS:
        return f"its norms have {config['norm_groups']} groups, not {GROUPS}"
    if "use" in config["quantizer"]:
        return f"its quantizer is '{config['quantizer']['use']}'"
    if tokenizer.quantize.described() != "normalised":
        return "its codes are plain, not of unit length"
    levels = range(len(config["ch_mult"]))
    attended = [level for level in levels if config["resolution"] // 2**level in config["attn_resolutions"]]
    if attended != [levels[-1]]:
        return "its attention is elsewhere than at the lowest resolution alone"
    return "" if grid[0] == grid[1] else f"its {grid[0]} x {grid[1]} ids are no square"


def vq_config(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return the shape of the VQ model that a tokenizer is, as `transformers.JanusVQVAEConfig` takes it."""
    config = tokenizer.config
    return {
        "base_channels": config["ch"],
        "channel_multiplier": list(config["ch_mult"]),
        "num_res_blocks": config["num_res_blocks"],
        "latent_channels": config["z_channels"],
    }


def vq_to_janus(tokenizer: Tokenizer) -> dict[str, Tensor]:
    """Return a tokenizer's weights under the names of Janus's VQ model; what its codebook learns from is left out."""
    levels, learnt = len(tokenizer.config["ch_mult"]), {f"quantize.{name}" for name in tokenizer.quantize.statistics}
    weights = {name: value for name, value in tokenizer.state_dict().items() if name not in learnt}
    return {VQ + turned(name, levels): value for name, value in weights.items()}


def vq_from_janus(besides: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of Janus's VQ model under the names of published tokenizers."""
    tensors = {name.removeprefix(VQ): value for name, value in besides.items() if name.startswith(VQ)}
    levels = len({match[1] for name in tensors if (match := re.match(r"decoder\.up\.(\d+)\.", name))})
    return {turned(name, levels): value for name, value in tensors.items()}


def turned(name: str, levels: int) -> str:
    """Return a weight's name with the decoder's levels counted from the other end: Janus counts them as they run."""
    return re.sub(r"^decoder\.up\.(\d+)\.", lambda found: f"decoder.up.{levels - 1 - int(found[1])}.", name)


def renamed(tensors: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    """Return tensors under other names; longer beginnings come first."""
    found = {}
    pattern = re.compile("|".join(map(re.escape, sorted(names, key=len, reverse=True))))
    for name, value in tensors.items():
        if (begun := pattern.match(name)) is None:
            raise WeightsError(expected("generator", f"names that begin with {', '.join(names)}", f"'{name}'"))
        found[names[begun[0]] + name[begun.end() :]] = value
    return found
