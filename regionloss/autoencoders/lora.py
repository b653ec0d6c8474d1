"""Low-rank adapters in an autoencoder's layers: few weights that learn, added to those that stay."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn

from regionloss.autoencoders.base import TrainableAutoencoder
from regionloss.compat.diffusers import pad_like, plain_kind, without_padding
from regionloss.errors import InputError, expected

#: What peft calls an adapter to which nobody gives a name.
ADAPTER = "default"


def add_lora(
    autoencoder: TrainableAutoencoder, parts: Iterable[str] = ("decoder",), rank: int = 16, alpha: int | None = None
) -> list[nn.Parameter]:
    """Let low-rank matrices learn in place of the weights of some parts; return them.

    Each layer gives `W x + alpha / rank B A x`; B begins at 0, so that nothing changes before the first step. Done by
    `peft`, whose layers pad as do those of Wan and Qwen that pad by themselves. Biases, norms, grouped and transposed
    convolutions stay as they are.

    Args:
        autoencoder: The autoencoder; its layers are replaced. `merged` makes them plain again.
        parts: Names of its `parts`.
        rank: Rank of the matrices.
        alpha: Factor times rank; None takes the rank.

    Raises:
        ModuleNotFoundError: `peft` is not installed.
        InputError: The parts have no layer that takes one.
        UnknownNameError: There is no such part.

    Source: Hu et al., LoRA: Low-Rank Adaptation of Large Language Models (2021).
    """
    from peft import LoraConfig, inject_adapter_in_model

    parts = list(parts)
    learning = {id(weight) for weight in autoencoder.set_trainable(parts)}
    layers = {
        name: layer
        for name, layer in autoencoder.module.named_modules()
        if plain_kind(layer) is not None and getattr(layer, "groups", 1) == 1 and id(layer.weight) in learning
    }
    if not layers:
        got = f"{', '.join(map(repr, parts))} without any"
        raise InputError(expected("lora", "linear layers or convolutions", got, "Let the weights learn: leave it out."))
    config = LoraConfig(
        r=rank, lora_alpha=rank if alpha is None else alpha, target_modules="|".join(map(re.escape, layers))
    )
    with without_padding(layers.values()):
        inject_adapter_in_model(config, autoencoder.module)
    for _, layer in adapted(autoencoder.module):
        pad_like(layer.lora_A[ADAPTER], layer.get_base_layer())
    return autoencoder.set_trainable(parts)


@torch.no_grad()
def merged(autoencoder: TrainableAutoencoder) -> TrainableAutoencoder:
    """Return a copy in which the adapters are added to the weights, with layers as they were read; itself without."""
    if not any(adapted(autoencoder.module)):
        return autoencoder
    plain = copy.deepcopy(autoencoder)
    for name, layer in list(adapted(plain.module)):
        base, low, high = layer.get_base_layer(), layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight
        # Not by peft, which takes a convolution over time of one frame and one pixel for one of an image.
        base.weight += layer.scaling[ADAPTER] * (high.flatten(1) @ low.flatten(1)).view_as(base.weight)
        plain.module.set_submodule(name, base)
    return plain


def adapted(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield the layers with an adapter, by name."""
    for name, layer in module.named_modules():
        if hasattr(layer, "lora_A"):
            yield name, layer
