"""Activations of blocks: kept for backward, or computed again there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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


def units_of(module: nn.Module) -> Iterator[nn.Module]:
    """Yield a module's smallest blocks, down to those in lists within lists, so that little is recomputed at once."""
    for child in module.children():
        if isinstance(child, nn.ModuleList | nn.Sequential) or any(map(_lists_blocks, child.modules())):
            yield from units_of(child)
        elif next(child.parameters(), None) is not None:
            yield child


def _lists_blocks(module: nn.Module) -> bool:
    """Whether a module is a list of others that are made of parts; the projections of an attention are not."""
    return isinstance(module, nn.ModuleList) and any(
        next(one.children(), None) is not None for one in module.children()
    )
