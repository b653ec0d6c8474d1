"""What a codebook keeps of the training forwards since its last update."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from insighttok_ref.quantizers.nearest import add_rows

# The published batch has 8 tokens a code: so many are kept as they came, and again as many.
POOL_PER_CODE = 8
SMALLEST_POOL = 65536


class Gathered:
    """Sums by code, and the tokens that may replace dead codes.

    Sums are kept in float64, so that the order of tokens, micro-batches and ranks does not show in float32. Tokens
    beyond twice the pool are thinned without changing what a restart does: to the farthest ones, or to a uniform
    sample of all that came.

    Args:
        codebook_size: Number of codes K.
        code_dim: Length d of a code.
        restart: The quantizer's option; "off" keeps no tokens.
        device: Device on which everything is kept.
    """

    def __init__(
        self, codebook_size: int, code_dim: int, restart: Literal["random", "dist", "off"], device: torch.device
    ) -> None:
        self.restart = restart
        self.pool_size = max(SMALLEST_POOL, POOL_PER_CODE * codebook_size)
        self.seen = 0
        dtype = torch.float32 if device.type == "mps" else torch.float64
        #: Sums of tokens and, in the last column, their number (K, d + 1).
        self.sums = torch.zeros(codebook_size, code_dim + 1, dtype=dtype, device=device)
        self._tokens: list[Tensor] = []
        self._keys: list[Tensor] = []
        self._thinned = False

    @torch.no_grad()
    def add(self, tokens: Tensor, chosen: Tensor, ids: Tensor) -> None:
        """Take in tokens (n, d), their codes (n, d) and the ids (n,) of these."""
        add_rows(self.sums, ids, tokens)
        self.seen += len(tokens)
        if self.restart == "off":
            return
        self._tokens.append(tokens)
        if self.restart == "dist":
            self._keys.append((chosen - tokens).square().sum(1))
        if sum(map(len, self._tokens)) > 2 * self.pool_size:
            self._thin()

    def pool(self) -> Tensor:
        """Return the tokens (m, d) in the order in which they came."""
        if self._thinned:
            # Those that came after the others were thinned would have a better chance.
            self._thin()
        return torch.cat(self._tokens) if self._tokens else self._none(self.sums.shape[1] - 1)

    def distances(self) -> Tensor:
        """Return the squared distances (m,) of the tokens of `pool()` from their codes; for "dist"."""
        return torch.cat(self._keys) if self._keys else self._none()

    def _none(self, *shape: int) -> Tensor:
        return torch.empty(0, *shape, device=self.sums.device)

    def _thin(self) -> None:
        tokens = torch.cat(self._tokens)
        unmarked = len(tokens) - sum(map(len, self._keys))
        if unmarked:
            # A token keeps the random key that it was given first: the largest keys of all are a uniform sample.
            self._keys.append(torch.rand(unmarked, device=tokens.device))
        keys = torch.cat(self._keys)
        kept = keys.topk(self.pool_size).indices.sort().values
        self._tokens, self._keys, self._thinned = [tokens[kept]], [keys[kept]], True


def perplexity(counts: Tensor) -> Tensor:
    """Return exp(-sum p log(p + 1e-7)), 0-d, of how often each code was chosen (K,)."""
    p = counts / counts.sum()
    return (-(p * (p + 1e-7).log()).sum()).exp()
