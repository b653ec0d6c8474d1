"""Low-rank adapters in an autoencoder's layers: few weights that learn, added to those that stay."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator
from typing import Any

from torch import nn

from regionloss.autoencoders.base import TrainableAutoencoder
from regionloss.errors import InputError, expected

#: Layers that take one; of these types alone, since a subclass may pad by itself.
LAYERS = (nn.Linear, nn.Conv2d, nn.Conv3d)


def add_lora(
    autoencoder: TrainableAutoencoder, parts: Iterable[str] = ("decoder",), rank: int = 16, alpha: int | None = None
) -> list[nn.Parameter]:
    """Let low-rank matrices learn in place of the weights of some parts; return them.

    Each layer gives `W x + alpha / rank B A x`; B begins at 0, so that nothing changes before the first step. Done by
    `peft`. Biases, norms, grouped and transposed convolutions stay as they are.

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
    names = [
        name
        for name, layer in autoencoder.module.named_modules()
        if type(layer) in LAYERS and getattr(layer, "groups", 1) == 1 and id(layer.weight) in learning
    ]
    if not names:
        got = f"{', '.join(map(repr, parts))} without any"
        raise InputError(expected("lora", "linear layers or convolutions", got, "Let the weights learn: leave it out."))
    config = LoraConfig(
        r=rank, lora_alpha=rank if alpha is None else alpha, target_modules="|".join(map(re.escape, names))
    )
    inject_adapter_in_model(config, autoencoder.module)
    return autoencoder.set_trainable(parts)


def merged(autoencoder: TrainableAutoencoder) -> TrainableAutoencoder:
    """Return a copy in which the adapters are added to the weights, with layers as they were read; itself without."""
    if not any(adapted(autoencoder.module)):
        return autoencoder
    plain = copy.deepcopy(autoencoder)
    for name, layer in list(adapted(plain.module)):
        layer.merge()
        plain.module.set_submodule(name, layer.get_base_layer())
    return plain


def adapted(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield the layers with an adapter, by name."""
    for name, layer in module.named_modules():
        if hasattr(layer, "lora_A"):
            yield name, layer
