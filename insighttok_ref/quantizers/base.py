"""What every quantizer promises, and what of it most need not write themselves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from regionloss.errors import InputError, expected


class Codebook(nn.Module):
    """The codes as `weight` (K, d): a buffer, so that neither optimizer nor requires_grad_() reaches it."""

    weight: Tensor

    def __init__(self, codes: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", codes)


class Quantizer(nn.Module, ABC):
    """Latents (B, d, h, w) to one of K codes each; learns by gradients, or once an optimizer step, or not at all.

    A constructor takes `codebook_size` (K) and `code_dim` (d), which are the tokenizer's to say, and options by name.

    Args:
        codebook_size: Number of codes K.
        code_dim: Length d of a code.
    """

    #: Entries of the state dict that decide neither ids nor vectors: what learning remembers.
    statistics: Collection[str] = ()
    #: Buffers that differ between the ranks of a run; every rank keeps its own.
    per_rank: Collection[str] = ()

    def __init__(self, codebook_size: int, code_dim: int) -> None:
        super().__init__()
        self.codebook_size, self.code_dim = codebook_size, code_dim
        #: Whether the codes stay, also in training.
        self.frozen = False

    @property
    @abstractmethod
    def codebook(self) -> Tensor:
        """The vectors (K, d) that the decoder sees, on the quantizer's device."""

    @abstractmethod
    def forward(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return (z_q (B, d, h, w) with gradients for z, a loss 0-d, ids (B, h * w) int64) of latents (B, d, h, w)."""

    @property
    def layout(self) -> Mapping[str, Any]:
        """Options that decide what an id means: tokens of two quantizers that differ here are not exchanged."""
        return {}

    @torch.no_grad()
    def assign(self, z: Tensor) -> Tensor:
        """Return the ids (B, h * w) of latents (B, d, h, w); nothing is learnt."""
        training = self.training
        try:
            ids: Tensor = self.eval()(z)[2]
        finally:
            self.train(training)
        return ids

    def lookup(self, ids: Tensor, grid: tuple[int, int]) -> Tensor:
        """Return the vectors (B, d, h, w) of ids (B, h * w)."""
        vectors: Tensor = self.codebook[ids].unflatten(1, grid)
        return vectors.permute(0, 3, 1, 2)

    def begin(self, latents: Iterable[Tensor]) -> None:
        """Choose where the codes begin, once before the first step, on all ranks; they stay, where nothing is chosen.

        Args:
            latents: Those (B, d, h, w) of the step's micro-batches, each computed when it is asked for.
        """

    def update(self) -> None:
        """Learn from the forwards since the last update; called once an optimizer step, on all ranks."""

    def stats(self) -> dict[str, Tensor]:
        """Return 0-d tensors for the log, on the device, never read back here."""
        return {}

    def described(self) -> str:
        """Return what kind of codes these are, in a word or two."""
        return type(self).__name__


def check_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    """Raise InputError for an option's value that is none of those that are known."""
    if value not in known:
        raise InputError(expected(name, " or ".join(map(repr, known)), repr(value)))
