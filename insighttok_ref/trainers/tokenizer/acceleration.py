"""What makes the steps of a part fast, and leaves their numbers as they are but for rounding."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from insighttok_ref.trainers.tokenizer.loop import PartState
from insighttok_ref.trainers.tokenizer.options import EngineOptions
from insighttok_ref.training.compiler import Backend, check_compiler


def accelerate(state: PartState, options: EngineOptions, backend: Backend = "inductor") -> None:
    """Make a part's steps as fast as its options say, once its engines have its weights.

    Args:
        state: The part, as it begins.
        options: What may be done.
        backend: What `torch.compile` compiles with.

    Raises:
        PluginError: `torch.compile` is asked for, and finds no compiler.
    """
    device = state.model.last_layer.device
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = options.cudnn_benchmark
    if options.compile:
        check_compiler(device, backend, "engine.compile", "train with trainer.options.engine.compile=false.")
        state.compiled = True
        for module in networks(state):
            module.compile(backend=backend)


def networks(state: PartState) -> Iterator[nn.Module]:
    """Yield what a step computes with, each a function of tensors: encoder, decoder, discriminator, recognisers."""
    yield from state.model.pure_parts()
    if state.adversary is not None:
        yield state.adversary.discriminator
    objective = state.objective
    if objective.perceptual is not None:
        yield objective.perceptual.loss.backbone.network
    for term in {} if objective.terms is None else objective.terms.terms.values():
        yield term.loss.backbone.network
