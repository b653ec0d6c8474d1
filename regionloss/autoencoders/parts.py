"""Parts of an autoencoder by name: those that learn or stay, blocks of the decoder, and the layer that ends it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

LAYERS = (nn.Linear, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d)


def parts_of(model: Any) -> dict[str, tuple[nn.Module, ...]]:
    """Return the parts of a module that has an `encoder` and a `decoder`, by name, then the decoder's blocks."""
    named = {
        "encoder": (model.encoder,),
        "quantizer": (getattr(model, "quantize", None), getattr(model, "quant_conv", None)),
        "decoder": (getattr(model, "post_quant_conv", None), model.decoder),
    }
    found = {name: tuple(one for one in some if one is not None) for name, some in named.items()}
    blocks = {f"decoder.{name}": (block,) for name, block in blocks_of(model.decoder)}
    return {name: some for name, some in found.items() if some} | blocks


def blocks_of(decoder: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield the decoder's blocks by name, those of its lists one by one, as far as they hold weights."""
    for name, child in decoder.named_children():
        inner = child.named_children() if isinstance(child, nn.ModuleList | nn.Sequential) else [("", child)]
        for number, block in inner:
            if next(block.parameters(), None) is not None:
                yield f"{name}.{number}".rstrip("."), block


def last_layer_of(decoder: nn.Module) -> nn.Parameter:
    """Return the weight of the last convolution or linear layer, in the order in which they were made."""
    layers = [one for one in decoder.modules() if isinstance(one, LAYERS)]
    weight = layers[-1].weight
    assert isinstance(weight, nn.Parameter)
    return weight
