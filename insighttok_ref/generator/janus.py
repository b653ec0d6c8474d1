"""Names of weights: those of `transformers`' Janus, and ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

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
BESIDES = ("model.vision_model.", "model.aligner.", "model.vqmodel.")


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


def renamed(tensors: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    """Return tensors under other names; longer beginnings come first."""
    found = {}
    pattern = re.compile("|".join(map(re.escape, sorted(names, key=len, reverse=True))))
    for name, value in tensors.items():
        if (begun := pattern.match(name)) is None:
            raise WeightsError(expected("generator", f"names that begin with {', '.join(names)}", f"'{name}'"))
        found[names[begun[0]] + name[begun.end() :]] = value
    return found
