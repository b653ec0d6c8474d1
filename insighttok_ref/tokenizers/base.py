"""What every tokenizer promises, and what of it most need not write themselves."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from insighttok_ref.quantizers.base import Quantizer


class TokenizerOutput(NamedTuple):
    """What a training step needs of the tokenizer; latents and the vectors in their place for losses that see them; the
    divergence of latents that have a distribution from a standard normal one, where their encoder learns; whether the
    commitment loss is computed, or 0 for want of one."""

    reconstruction: Tensor
    commit_loss: Tensor
    ids: Tensor
    latents: Tensor | None = None
    quantized: Tensor | None = None
    kl: Tensor | None = None
    commits: bool = True


class Trainee(nn.Module, ABC):
    """Images in, images out: all that a training loop knows of what it trains."""

    @property
    @abstractmethod
    def last_layer(self) -> Tensor:
        """The weight whose gradients an adaptive loss weight compares."""

    @abstractmethod
    def forward(self, x: Tensor) -> TokenizerOutput:
        """Reconstruct images (B, 3, H, W)."""

    def pure_parts(self) -> Iterable[nn.Module]:
        """Return the modules that are functions of tensors alone, which `torch.compile` may take; none is known."""
        return ()

    def begin(self, images: Iterable[Tensor]) -> None:
        """Choose where it begins what is not drawn, once before the first step, on all ranks.

        Args:
            images: Those (B, 3, H, W) of the step's micro-batches, each read when it is asked for.
        """

    def after_step(self) -> None:
        """Learn what is not learnt by gradients, once a step."""

    def step_statistics(self) -> Mapping[str, Tensor | float]:
        """Return numbers for the log, by name."""
        return {}

    def rank_buffers(self) -> dict[str, Tensor]:
        """Return the buffers that differ between the ranks of a run, by name."""
        return {}


class Tokenizer(Trainee):
    """Images (B, 3, H, W) in [-1, 1] to ids (B, n) and back: all that a trainer, a report or a generator knows of one.

    Ids run from 0 to `codebook_size` - 1, row by row over the `grid` of an image.
    """

    quantize: Quantizer
    #: Side of a token in pixels.
    downsampling: int
    #: What builds it again; `build_tokenizer` keeps it.
    config: dict[str, Any]

    @abstractmethod
    def set_trainable(self, parts: Iterable[str]) -> None:
        """Let only these parts learn, of "encoder", "quantizer" and "decoder"."""

    @abstractmethod
    def grid(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """Return rows and columns of tokens for an image of (H, W) pixels."""

    @abstractmethod
    def encode(self, x: Tensor) -> Tensor:
        """Return ids (B, n), row by row; nothing is learnt."""

    @abstractmethod
    def decode(self, ids: Tensor, grid: tuple[int, int]) -> Tensor:
        """Return images (B, 3, H, W), not clamped, of ids (B, n)."""

    def after_step(self) -> None:
        """Let the codes follow the step."""
        self.quantize.update()

    def step_statistics(self) -> Mapping[str, Tensor | float]:
        """Return how the codes are used."""
        return {f"codebook/{name}": value for name, value in self.quantize.stats().items()}

    def rank_buffers(self) -> dict[str, Tensor]:
        """Return, of a codebook, the window of its last ids."""
        return {name: buffer for name, buffer in self.quantize.named_buffers() if name in self.quantize.per_rank}

    @property
    def codebook(self) -> Tensor:
        """The vectors (K, d) that the decoder sees."""
        return self.quantize.codebook

    @property
    def codebook_size(self) -> int:
        """The number K of ids."""
        return self.quantize.codebook_size

    def tokens(self, image_size: tuple[int, int]) -> int:
        """Return the number n of tokens of an image of (H, W) pixels."""
        return prod(self.grid(image_size))

    @property
    def layout(self) -> Mapping[str, Any]:
        """Options that decide, beside the weights, ids and images."""
        return self.config

    def stored(self) -> dict[str, Tensor]:
        """Return the tensors that a file of it holds, by name."""
        return self.state_dict()

    @property
    def writers(self) -> tuple[str, ...]:
        """Fingerprints of the tokenizers whose ids it decodes: its own, for one."""
        return (self.fingerprint,)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the layout and of every weight that decides ids and images."""
        digest = hashlib.sha256(json.dumps(dict(self.layout), sort_keys=True).encode())
        remembered = {f"quantize.{name}" for name in self.quantize.statistics}
        for key, value in sorted(self.stored().items()):
            if key not in remembered:
                digest.update(f"{key} {value.dtype} {tuple(value.shape)}".encode())
                digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()
