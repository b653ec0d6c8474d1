"""What a tokenizer promises."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Tokenizer(Protocol):
    """Images (B, 3, H, W) in [-1, 1] to ids (B, n) and back."""

    @property
    def codebook(self) -> Tensor:
        """The vectors (K, d) that the decoder sees."""

    @property
    def fingerprint(self) -> str:
        """A hash of everything that decides ids and images."""

    def grid(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of tokens for an image of (H, W) pixels."""

    def encode(self, x: Tensor) -> Tensor:
        """Return ids (B, n), row by row."""

    def decode(self, ids: Tensor, grid: tuple[int, int]) -> Tensor:
        """Return images (B, 3, H, W), not clamped."""
