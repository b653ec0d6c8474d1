"""Single files of `AutoencoderKL` in the layout of latent diffusion: their names, and what these tell of the model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from regionloss.errors import InputError, expected

KINDS = ("AutoencoderKL", "AutoencoderKLFlux2")
#: Diffusers' names -> those of latent diffusion, where both say the same.
RULES = (
    (r"\bdown_blocks\.(\d+)\.resnets\.", r"down.\1.block."),
    (r"\bdown_blocks\.(\d+)\.attentions\.", r"down.\1.attn."),
    (r"\bdown_blocks\.(\d+)\.downsamplers\.0\.", r"down.\1.downsample."),
    (r"\bup\.(\d+)\.resnets\.", r"up.\1.block."),
    (r"\bup\.(\d+)\.attentions\.", r"up.\1.attn."),
    (r"\bup\.(\d+)\.upsamplers\.0\.", r"up.\1.upsample."),
    (r"\bmid_block\.resnets\.0\.", "mid.block_1."),
    (r"\bmid_block\.resnets\.1\.", "mid.block_2."),
    (r"\bmid_block\.attentions\.0\.", "mid.attn_1."),
    (r"(attn[._]\d+)\.group_norm\.", r"\1.norm."),
    (r"(attn[._]\d+)\.to_([qkv])\.", r"\1.\2."),
    (r"(attn[._]\d+)\.to_out\.0\.", r"\1.proj_out."),
    (r"\bconv_shortcut\.", "nin_shortcut."),
    (r"\bconv_norm_out\.", "norm_out."),
)
UP = re.compile(r"\bup_blocks\.(\d+)\.")
ATTENTION = re.compile(r"attn[._]\d+\.(q|k|v|proj_out)\.weight$")
#: Names of attention in older files of diffusers.
OLDER = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
OLD = re.compile(rf"\b({'|'.join(OLDER)})(?=\.(weight|bias)$)")
#: What the derivation reads.
NEEDED = ("encoder.conv_in", "encoder.conv_out", "encoder.down.0.block.0.conv1", "decoder.conv_in", "decoder.conv_out")


def ldm_name(name: str, levels: int) -> str:
    """Return latent diffusion's name of a tensor; it counts the decoder's levels from the full resolution."""
    name = UP.sub(lambda found: f"up.{levels - 1 - int(found[1])}.", name)
    for pattern, other in RULES:
        name = re.sub(pattern, other, name)
    return name


def ldm_names(model: Any) -> dict[str, tuple[str, torch.Size]]:
    """Return name and shape in a single file of each tensor of a model; none for a class that has no such layout."""
    if type(model).__name__ not in KINDS:
        return {}
    levels = len(model.decoder.up_blocks)
    found = {}
    for name, value in model.state_dict().items():
        other = ldm_name(name, levels)
        one_by_one = (1, 1) if ATTENTION.search(other) and value.ndim == 2 else ()
        found[name] = other, torch.Size((*value.shape, *one_by_one))
    return found


def current(name: str) -> str:
    """Return diffusers' name of today for one of an older file."""
    return OLD.sub(lambda found: OLDER[found[1]], name)


def derived(tensors: Mapping[str, Tensor], where: str) -> dict[str, Any]:
    """Return the configuration that names and shapes of a file tell, in either layout.

    Raises:
        InputError: They are those of another kind of model.
    """
    levels = _count(tensors, r"encoder\.(?:down|down_blocks)\.(\d+)\.")
    named = {ldm_name(current(name), levels): value for name, value in tensors.items()}
    shapes = {name: named[f"{name}.weight"].shape for name in NEEDED if f"{name}.weight" in named}
    if len(shapes) < len(NEEDED) or any(len(shape) != 4 for shape in shapes.values()):
        advice = "Give the folder that diffusers loads it from, with config.json and weights."
        got = f"others, such as {', '.join(list(tensors)[:3])}"
        raise InputError(expected(where, "the names of an AutoencoderKL", got, advice))
    widths = [named[f"encoder.down.{i}.block.0.conv1.weight"].shape[0] for i in range(levels)]
    attended = [f"encoder.down.{i}.attn.0.q.weight" in named for i in range(levels)]
    settings: dict[str, Any] = {
        "_class_name": KINDS["bn.running_mean" in named],
        "in_channels": shapes["encoder.conv_in"][1],
        "out_channels": shapes["decoder.conv_out"][0],
        "latent_channels": shapes["decoder.conv_in"][1],
        "block_out_channels": widths,
        "layers_per_block": _count(named, r"encoder\.down\.0\.block\.(\d+)\."),
        "down_block_types": ["AttnDownEncoderBlock2D" if one else "DownEncoderBlock2D" for one in attended],
        "up_block_types": ["AttnUpDecoderBlock2D" if one else "UpDecoderBlock2D" for one in reversed(attended)],
        "use_quant_conv": "quant_conv.weight" in named,
        "use_post_quant_conv": "post_quant_conv.weight" in named,
        "mid_block_add_attention": "encoder.mid.attn_1.q.weight" in named,
    }
    first = [named.get(f"decoder.up.{i}.block.0.conv1.weight") for i in range(levels)]
    decoder = [value.shape[0] for value in first if value is not None]
    return settings if decoder in (widths, []) else {**settings, "decoder_block_out_channels": decoder}


def _count(names: Mapping[str, Tensor], pattern: str) -> int:
    """Return how many numbers names that match have."""
    return len({found[1] for name in names if (found := re.match(pattern, name))})
