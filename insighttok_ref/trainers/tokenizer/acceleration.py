"""What makes the steps of a part fast, and leaves their numbers as they are but for rounding."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from insighttok_ref.trainers.tokenizer.loop import PartState
from insighttok_ref.trainers.tokenizer.options import EngineOptions
from regionloss.errors import PluginError, expected, reason_of

#: A name that torch knows, or a function of a graph and its inputs.
Backend = str | Callable[..., Any]


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
        check_compiler(device, backend)
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


def check_compiler(device: torch.device, backend: Backend) -> None:
    """Compile next to nothing, before hours of data are looked through.

    Raises:
        PluginError: It fails.
    """
    try:
        torch.compile(torch.neg, backend=backend)(torch.zeros(2, device=device))
    except Exception as error:  # torch has no common class for them
        advice = "Install g++ for a CPU, or triton for a GPU; or train with trainer.options.engine.compile=false."
        raise PluginError(
            expected("engine.compile", "a compiler for torch.compile", reason_of(error), advice)
        ) from error
