"""Codes that are not learnt: every channel of a latent is bounded and rounded to one of a few levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from insighttok_ref.quantizers.base import Quantizer
from insighttok_ref.quantizers.nearest import full_precision
from insighttok_ref.quantizers.token_statistics import perplexity
from regionloss.errors import InputError, expected


class FSQuantizer(Quantizer):
    """Finite scalar quantization: channel i takes one of L_i values, evenly from -1 to about 1; K = prod L_i.

    With h_i = (L_i - 1) / 2 and o_i = 1/2 for even L_i, else 0: c = tanh(z + atanh(o / h)) h - o, rounded, over L // 2.
    The gradient passes the rounding. There is no loss, and nothing to update.

    Args:
        codebook_size: K, the product of the levels.
        code_dim: Length d of a code, which is the number of levels.
        levels: L_i, at least 2 each; Mentzer et al. advise 5 or more, (8, 5, 5, 5) for 1000 codes.

    Raises:
        InputError: The levels are others than the codes.

    Source: Mentzer et al. (2023), "Finite Scalar Quantization: VQ-VAE Made Simple".
    """

    levels: Tensor

    def __init__(self, codebook_size: int, code_dim: int, *, levels: Sequence[int]) -> None:
        super().__init__(codebook_size, code_dim)
        if not levels or min(levels) < 2:
            raise InputError(expected("quantizer.levels", "numbers of at least 2", str(list(levels))))
        for name, wanted, got in (
            ("codebook_size", prod(levels), codebook_size),
            ("code_dim", len(levels), code_dim),
        ):
            if wanted != got:
                what = f"{wanted}, as the levels {list(levels)} have it"
                raise InputError(expected(f"model.{name}", what, str(got), "Change one of the two."))
        self.register_buffer("levels", torch.tensor(list(levels)))
        self._layout = {"levels": list(levels)}
        self._last_ids: Tensor | None = None

    @property
    def layout(self) -> Mapping[str, Any]:
        """The levels."""
        return self._layout

    @property
    def codebook(self) -> Tensor:
        """The codes (K, d), in the order of their ids: the first channel changes fastest."""
        return self._values(torch.arange(self.codebook_size, device=self.levels.device))

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return z_q (B, d, h, w) with straight-through gradients, a zero, ids (B, h * w) of latents (B, d, h, w)."""
        if z.ndim != 4 or z.shape[1] != self.code_dim:
            raise InputError(expected("z", f"a shape (B, {self.code_dim}, h, w)", str(tuple(z.shape))))
        with full_precision(z.device):
            wide = z if z.dtype == torch.float64 else z.float()
            bounded = self._bounded(wide.movedim(1, -1))
            steps = bounded.detach().round()
            half = self.levels // 2
            z_q = (bounded + (steps - bounded).detach()) / half
            ids = ((steps.long() + half) * self._places()).sum(-1).flatten(1)
        self._last_ids = ids
        return z_q.movedim(-1, 1).to(z.dtype), wide.new_zeros(()), ids

    def lookup(self, ids: Tensor, grid: tuple[int, int]) -> Tensor:
        """Return the vectors (B, d, h, w) of ids (B, h * w)."""
        vectors: Tensor = self._values(ids).unflatten(1, grid)
        return vectors.movedim(-1, 1)

    def stats(self) -> dict[str, Tensor]:
        """Return perplexity and usage of the last forward's ids."""
        if self._last_ids is None:
            return {}
        counts = torch.bincount(self._last_ids.flatten(), minlength=self.codebook_size).float()
        return {"perplexity": perplexity(counts), "usage": (counts > 0).float().mean()}

    def _bounded(self, z: Tensor) -> Tensor:
        # A little wider than its levels, so that the outermost ones can be reached.
        half = (self.levels - 1) * (1 + 1e-3) / 2
        offset = (1 - self.levels % 2) / 2
        return (z + (offset / half).atanh()).tanh() * half - offset

    def _places(self) -> Tensor:
        """Return what a step of each channel counts in an id (d,)."""
        return torch.cat([self.levels.new_ones(1), self.levels[:-1].cumprod(0)])

    def _values(self, ids: Tensor) -> Tensor:
        half = self.levels // 2
        return (ids[..., None] // self._places() % self.levels - half) / half
