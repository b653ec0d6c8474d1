"""Activations of blocks: kept for backward, or computed again there."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint


def set_recomputed(blocks: Iterable[nn.Module], on: bool) -> None:
    """Keep of each block its input alone, and compute the rest again in backward; or keep all of it.

    No random numbers are restored: blocks are in evaluation mode.
    """
    for block in blocks:
        block.__dict__.pop("forward", None)
        if on:
            block.__dict__["forward"] = partial(
                checkpoint, block.forward, use_reentrant=False, preserve_rng_state=False
            )
