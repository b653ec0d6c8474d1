"""Layouts of published VQ tokenizers: the names of their tensors, and what names and shapes tell of the model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from insighttok_ref.quantizers.ema import USAGE_WINDOW
from regionloss.errors import WeightsError, expected

Tensors = dict[str, Tensor]
T = TypeVar("T")

KINDS = ("ours", "official", "taming", "llamagen")
#: Of every group norm of the published models; no shape tells it.
GROUPS = 32
RESOLUTION = 256
CODES = "quantize.embedding.weight"
PARTS = ("encoder.", "decoder.", "quantize.", "quant_conv.", "post_quant_conv.")
AVERAGED = ("quantize.cluster_size", "quantize.embed_avg")
AVERAGES = ("quantize.embedding.cluster_size", "quantize.embedding.embed_avg")
#: LlamaGen lists the blocks of the middle, where the others name them.
MIDDLE = {"0": "block_1", "1": "attn_1", "2": "block_2"}


def kind_of(tensors: Mapping[str, Tensor]) -> str | None:
    """Return the kind of a state dict: "official", "taming" or "llamagen"; None for any other."""
    if any(name.startswith("encoder.conv_blocks.") for name in tensors):
        return "llamagen"
    if not any(name.startswith(("encoder.down.", "decoder.up.")) for name in tensors):
        return None
    return "official" if set(AVERAGED) & tensors.keys() else "taming"


def renamed(tensors: Mapping[str, T], kind: str) -> dict[str, T]:
    """Return the tensors of the tokenizer under the names of the published InsightTok checkpoint.

    Sources: taming-transformers (CompVis), `taming/modules/diffusionmodules/model.py`; LlamaGen
    (FoundationVision), `tokenizer/tokenizer_image/vq_model.py`.
    """
    if kind != "official":
        # Losses and discriminators of a training checkpoint.
        tensors = {name: value for name, value in tensors.items() if name.startswith(PARTS)}
    if kind == "taming":  # its quantiser with moving averages keeps them beside the codes
        return {
            name.replace("quantize.embedding.", "quantize.") if name in AVERAGES else name: value
            for name, value in tensors.items()
        }
    if kind != "llamagen":
        return dict(tensors)
    last = max((int(m[1]) for name in tensors if (m := re.match(r"decoder\.conv_blocks\.(\d+)\.", name))), default=0)
    return {_from_llamagen(name, last): value for name, value in tensors.items()}


def _from_llamagen(name: str, last: int) -> str:
    """Return InsightTok's name; LlamaGen counts the decoder's blocks as they run, lowest resolution first."""
    name = re.sub(r"^(encoder|decoder)\.mid\.([012])\.", lambda m: f"{m[1]}.mid.{MIDDLE[m[2]]}.", name)
    name = re.sub(r"^encoder\.conv_blocks\.", "encoder.down.", name)
    name = re.sub(r"^decoder\.conv_blocks\.(\d+)\.", lambda m: f"decoder.up.{last - int(m[1])}.", name)
    return re.sub(r"^((?:encoder\.down|decoder\.up)\.\d+)\.res\.", r"\1.block.", name)


def configuration(tensors: Tensors, kind: str, where: str, normalised: bool) -> dict[str, Any]:
    """Return the arguments of `InsightTokenizer` that names and shapes tell, and how its codes are compared.

    Raises:
        WeightsError: A tensor that decides them is missing, or is of no such model.
    """
    needed = ("encoder.conv_in.weight", "encoder.conv_out.weight", CODES)
    missing = [name for name in needed if name not in tensors]
    if missing == [CODES] and kind != "official":
        others = [name for name in tensors if name.startswith("quantize.")]
        got = f"another quantiser ({', '.join(others[:3])})" if others else "an autoencoder without codes"
        raise WeightsError(expected(where, f"a table of codes, '{CODES}'", got, "It is not supported."))
    if missing:
        raise WeightsError(expected(where, f"a VQ tokenizer of kind '{kind}'", f"one without {', '.join(missing)}"))
    stem, head, codes = (tensors[name] for name in needed)
    if (stem.ndim, head.ndim, codes.ndim) != (4, 4, 2) or not all(one.numel() for one in (stem, head, codes)):
        raise WeightsError(expected(where, "convolutions and a table of codes", "tensors of other shapes"))
    if stem.shape[1] != 3:
        raise WeightsError(expected(f"{where}, '{needed[0]}'", "3 input channels", str(stem.shape[1])))
    levels = _numbers(tensors, r"encoder\.down\.(\d+)\.block\.")
    widths = [tensors.get(f"encoder.down.{i}.block.0.conv2.weight") for i in range(levels)]
    absent = [i for i, width in enumerate(widths) if width is None]
    if not levels or absent:
        what = f"encoder.down.{absent[0] if absent else 0}.block.0.conv2.weight"
        raise WeightsError(expected(where, f"a VQ tokenizer of kind '{kind}'", f"one without {what}"))
    resolution = max(RESOLUTION, 2 ** (levels - 1))
    attended = [i for i in range(levels) if any(f"{side}.{i}.attn.0.q.weight" in tensors for side in SIDES)]
    return {
        "ch": stem.shape[0],
        "ch_mult": tuple(width.shape[0] // stem.shape[0] for width in widths if width is not None),
        "num_res_blocks": _numbers(tensors, r"encoder\.down\.0\.block\.(\d+)\."),
        "attn_resolutions": tuple(resolution // 2**i for i in attended),
        "resolution": resolution,
        "z_channels": head.shape[0],
        "codebook_size": codes.shape[0],
        "code_dim": codes.shape[1],
        "norm_groups": GROUPS,
        "quantizer": {
            **({} if normalised else {"l2_normalize": False}),
            **({} if "quantize.codebook_used" in tensors else {"track_usage": False}),
        },
    }


SIDES = ("encoder.down", "decoder.up")


def _numbers(tensors: Tensors, pattern: str) -> int:
    """Return how many numbers names that match have."""
    return len({found[1] for name in tensors if (found := re.match(pattern, name))})


def filled(tensors: Tensors, config: Mapping[str, Any], kind: str) -> tuple[Tensors, tuple[str, ...]]:
    """Return the tensors with statistics of the codebook where the kind has none, and the names of what was added.

    The averages start from the codes themselves, each as if one token had chosen it.
    """
    if kind == "official":
        return tensors, ()
    codes = tensors[CODES].float()
    mean = F.normalize(codes, dim=-1) if config["quantizer"].get("l2_normalize", True) else codes
    added = {"quantize.cluster_size": torch.ones(len(codes)), "quantize.embed_avg": mean.clone()}
    if config["quantizer"].get("track_usage", True) and tensors["quantize.codebook_used"].shape != (USAGE_WINDOW,):
        added["quantize.codebook_used"] = torch.zeros(USAGE_WINDOW)
    added = {name: value for name, value in added.items() if name not in AVERAGED or name not in tensors}
    return {**tensors, **added}, tuple(added)


def other_layers(wanted: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> str:
    """Return what a whole file has that is not supported; empty where tensors are merely missing."""
    for side in ("encoder.mid", "decoder.mid"):
        if f"{side}.block_1.conv1.weight" in tensors and f"{side}.attn_1.q.weight" not in tensors:
            return "A tokenizer without attention in the middle is not supported."
    layers = ("encoder.", "decoder.", "quantize.")
    if any(name not in wanted and name.startswith(layers) for name in tensors):
        return "A tokenizer with other layers than the published ones is not supported."
    return ""
