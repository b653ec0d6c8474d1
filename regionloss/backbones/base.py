"""Backbones: crops -> feature maps of a frozen network."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import overload

import torch
from torch import Tensor, nn

from regionloss.backbones.frozen import Frozen
from regionloss.backbones.input_spec import InputSpec
from regionloss.backbones.token_grid import as_map, guess
from regionloss.checks import check_direction
from regionloss.errors import InputError, expected
from regionloss.tensors import without_autocast

Features = tuple[Tensor, ...]


class FeatureBackbone(Frozen):
    """Feature maps of a frozen recogniser, differentiable in the crops.

    A plugin either passes a network whose `forward` returns the list of its levels, or overrides `levels`.

    Args:
        network: Takes images as `input_spec` says and returns feature maps (R, C, ...): a sequence of levels, or one.
        input_spec: Size, value range and channels of the images that the network takes.
        out_indices: Numbers of the levels to compare, from 0, in order; None for all of them.
        autocast: Whether the network may run in the ambient lower precision. Distances are float32 in any case.
        prefix_tokens: Where levels are tokens (R, N, C), those of a transformer: how many stand in front of those of
            patches (the class, registers). They are left out, the others read as maps (R, C, h, w). None for no tokens.
        patch_size: Height and width of a token's patch, pixels; None for squares, whose number tells their size.
        channels_last: Whether to keep weights and activations in that memory format: mostly faster (on a CPU up to
            1.5 times), but a network that calls `.view` on its activations refuses it.

    Source: F in InsightTok, eq. 4 and 9.
    """

    def __init__(
        self,
        network: nn.Module,
        input_spec: InputSpec,
        *,
        out_indices: Sequence[int] | None = None,
        autocast: bool = True,
        channels_last: bool = False,
        prefix_tokens: int | None = None,
        patch_size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(network.to(memory_format=torch.channels_last) if channels_last else network)
        self.input_spec = input_spec
        self.out_indices = None if out_indices is None else tuple(out_indices)
        self.autocast = autocast
        self.channels_last = channels_last
        self.prefix_tokens = prefix_tokens
        self.patch_size = patch_size

    @overload
    def forward(self, crops: Tensor) -> Features: ...

    @overload
    def forward(self, crops: Tensor, target_crops: Tensor, heads: Sequence[str] = ()) -> tuple[Features, Features]: ...

    def forward(
        self, crops: Tensor, target_crops: Tensor | None = None, heads: Sequence[str] = ()
    ) -> Features | tuple[Features, Features]:
        """Return the chosen levels of crops (R, 3, h, w) in [-1, 1], each (R, C, ...).

        With `target_crops`, of the same shape, return both crops' levels: the target's carry no gradient, and are
        computed in a call of their own, without a backward pass. What the `heads` say (`backbones/heads.py`) follows
        behind the levels.
        """
        if target_crops is None:
            return self.features(crops)
        check_direction(crops, target_crops, "crops, target_crops")
        with torch.no_grad():
            target_features = self.described(target_crops, heads)
        return self.described(crops, heads), target_features

    def features(self, crops: Tensor) -> Features:
        """Return the chosen levels of one batch of crops."""
        return self.computed(crops, ())

    def described(self, crops: Tensor, heads: Sequence[str]) -> Features:
        """Return the same with what the heads say behind it."""
        return self.computed(crops, heads) if heads else self.features(crops)

    def computed(self, crops: Tensor, heads: Sequence[str]) -> Features:
        """Return levels, then heads, of one call of the network."""
        network = self.network_for(crops)
        with nullcontext() if self.autocast else without_autocast(crops):
            images = self.input_spec(crops)
            if self.channels_last:
                images = images.contiguous(memory_format=torch.channels_last)
            found = self.levels(network, images)
            levels = [found] if isinstance(found, Tensor) else found
            if not isinstance(levels, (tuple, list)):
                wanted = "feature maps (R, C, ...), a list of levels or one"
                raise InputError(expected(type(self).__name__, wanted, type(levels).__name__))
            said = [getattr(self, head)(network, levels) for head in heads]
        chosen = tuple(levels) if self.out_indices is None else self.picked(levels, self.out_indices)
        size = (images.shape[2], images.shape[3])
        return (*(self.as_map(level, size) for level in chosen), *said)

    def as_map(self, level: Tensor, size: tuple[int, int]) -> Tensor:
        """Return a level as a map (R, C, h, w), or as the vectors (R, C) that it has, of images of this size.

        Raises:
            InputError: Three dimensions, and nobody said that they are tokens: their sum over the wrong one would be
                compared in silence.
        """
        where = type(self).__name__
        if level.dim() != 3:
            return level
        if self.prefix_tokens is None:
            wanted = "maps (R, C, h, w) or vectors (R, C)"
            raise InputError(expected(where, wanted, str(tuple(level.shape)), guess(level.shape[1], size)))
        return as_map(level, self.prefix_tokens, size, where, self.patch_size)

    def levels(self, network: nn.Module, images: Tensor) -> Sequence[Tensor] | Tensor:
        """Return all levels of the network for images that fit its `input_spec`; or the one that it has."""
        levels: Sequence[Tensor] | Tensor = network(images)
        return levels

    def picked(self, levels: Sequence[Tensor], out_indices: Sequence[int]) -> Features:
        """Return the levels of these numbers."""
        if not all(-len(levels) <= i < len(levels) for i in out_indices):
            wanted = f"numbers below {len(levels)}, one of its levels each"
            raise InputError(expected(f"{type(self).__name__}.out_indices", wanted, str(list(out_indices))))
        return tuple(levels[i] for i in out_indices)
