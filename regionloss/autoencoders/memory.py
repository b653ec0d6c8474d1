"""Memory of a training step, calculated on the meta device: nothing is computed, and no memory is taken."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from itertools import chain
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from regionloss.autoencoders.base import TrainableAutoencoder
from regionloss.autoencoders.cuda_rules import CudaRules
from regionloss.compat.torch import MostBytes


class StepMemory(NamedTuple):
    """Bytes that a step takes: weights, the optimizer's two averages, and the most of activations and gradients."""

    weights: int
    optimizer: int
    step: int

    @property
    def total(self) -> int:
        """Bytes of all of it at once."""
        return sum(self)


def step_memory(
    autoencoder: TrainableAutoencoder,
    side: int,
    batch: int,
    parts: Iterable[str] = ("decoder",),
    bf16: bool = True,
    checkpointing: bool = True,
) -> StepMemory:
    """Return what encoding, decoding, an l1 loss and its gradients take, the way Adam trains.

    Other losses and their networks come on top, as do the work space of kernels and what an allocator keeps.

    Args:
        autoencoder: The autoencoder, on any device; it stays as it is.
        side: Side of the images, pixels.
        batch: Images of a step.
        parts: Names of what learns.
        bf16: Whether under autocast, as on a CUDA device; weights are as they are.
        checkpointing: Whether activations are computed again in backward.

    Raises:
        InputError: The autoencoder does not take such images, or nothing would learn.
        UnknownNameError: There is no such part.
    """
    ghost = of_no_memory(autoencoder)
    learning = ghost.set_trainable(parts)
    ghost.set_checkpointing(checkpointing)
    images = torch.empty(batch, 3, side, side, device="meta", dtype=ghost.last_layer.dtype)
    weights = size_of(chain(ghost.module.parameters(), ghost.module.buffers(), [images]))
    optimizer = 2 * size_of(learning)
    early = [module for part in ("encoder", "quantizer") for module in ghost.parts.get(part, ())]
    before = [weight for module in early for weight in module.parameters()]
    with MostBytes() as counted, CudaRules(bf16):
        with torch.set_grad_enabled(any(weight.requires_grad for weight in before)):
            latents = ghost.held_latents(images).latents
        (ghost.decode(latents) - images).abs().mean().backward()
    return StepMemory(weights, optimizer, counted.most)


def size_of(tensors: Iterable[Tensor]) -> int:
    """Return the bytes of tensors."""
    return sum(one.nbytes for one in tensors)


def of_no_memory(autoencoder: TrainableAutoencoder) -> TrainableAutoencoder:
    """Return a copy whose tensors have shapes and types, but no values."""
    known: dict[int, Any] = {}
    for weight in autoencoder.module.parameters():
        known[id(weight)] = nn.Parameter(torch.empty_like(weight, device="meta"), requires_grad=False)
    for buffer in autoencoder.module.buffers():
        known[id(buffer)] = torch.empty_like(buffer, device="meta")
    return copy.deepcopy(autoencoder, known)
