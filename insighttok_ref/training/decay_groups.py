"""Which weights decay: matrices and kernels, and neither what shifts and scales nor tables of vectors."""

from __future__ import annotations

from typing import Any

from torch import nn

from insighttok_ref.tokenizers.base import Tokenizer


def decay_groups(module: nn.Module, weight_decay: float, *, all_decay: bool = False) -> list[dict[str, Any]]:
    """Return the trainable weights of a module as groups of an optimizer, each with its decay.

    Biases, norms and other vectors have none: they are few, and what they do is not simpler when they are small. Nor
    have rows of tables (codes, tokens), which would shrink wherever nobody reads them.

    Args:
        module: What is trained, with the parts that learn chosen.
        weight_decay: Decay of the others.
        all_decay: Whether all weights decay.
    """
    learning = [weight for weight in module.parameters() if weight.requires_grad]
    if all_decay or not weight_decay:
        return [{"params": learning, "weight_decay": weight_decay}]
    exempt = {id(weight) for weight in learning if dimensions(weight) < 2} | tables(module)
    decaying = [weight for weight in learning if id(weight) not in exempt]
    spared = [weight for weight in learning if id(weight) in exempt]
    groups = [{"params": decaying, "weight_decay": weight_decay}, {"params": spared, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def dimensions(weight: nn.Parameter) -> int:
    """Return the number of a weight's dimensions, also where DeepSpeed has shared it out as a vector."""
    return len(getattr(weight, "ds_shape", weight.shape))


def tables(module: nn.Module) -> set[int]:
    """Return the ids of the weights that are tables of vectors."""
    found = {id(part.weight) for part in module.modules() if isinstance(part, nn.Embedding)}
    if isinstance(module, Tokenizer):
        codes = module.quantize
        shape = (codes.codebook_size, codes.code_dim)
        found |= {id(weight) for weight in codes.parameters() if tuple(weight.shape) == shape}
    return found
