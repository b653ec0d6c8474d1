"""How much memory a run takes, calculated before it begins: nothing is computed, on the meta device."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from insighttok_ref.trainers.finetune.tuned import Tuned

GIB = 2**30


def planned(model: Tuned, size: int, images: int, averaged: bool, bf16: bool, others: Iterable[nn.Module] = ()) -> int:
    """Return the bytes that training takes at least: weights, gradients, Adam, the average, and what backward keeps.

    Args:
        model: What is tuned.
        size: Side of the images, pixels.
        images: Images in one forward pass.
        averaged: Whether a moving average of the weights is kept.
        bf16: Whether activations are bfloat16.
        others: Frozen networks beside it.
    """
    every = sum(one.numel() * one.element_size() for one in model.module.parameters())
    learning = sum(one.numel() * one.element_size() for one in model.module.parameters() if one.requires_grad)
    frozen = sum(one.numel() * one.element_size() for module in others for one in module.parameters())
    kept = activations(model, size) * images // (2 if bf16 else 1)
    return every * (2 if averaged else 1) + 3 * learning + frozen + kept


def activations(model: Tuned, size: int) -> int:
    """Return the bytes that the backward pass of one image keeps; 0 where a layer cannot be traced."""
    traced = copy.deepcopy(model)
    traced.module.to("meta")
    held: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter):
            held[id(tensor.untyped_storage())] = tensor
        return tensor

    try:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            traced(torch.empty(1, 3, size, size, device="meta"))
    except (RuntimeError, NotImplementedError, ValueError, AttributeError):
        return 0
    return sum(one.untyped_storage().nbytes() for one in held.values())
