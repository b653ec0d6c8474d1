"""What a quantiser and a tokenizer promise; other kinds (LFQ, FSQ, IBQ) fit the same shape."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Quantizer(Protocol):
    """Latents (B, d, h, w) to codes; learns outside the optimizer, once per optimizer step."""

    codebook_size: int
    frozen: bool

    @property
    def codebook(self) -> Tensor:
        """The vectors (K, d) that the decoder sees."""

    def __call__(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return (z_q (B, d, h, w), loss 0-d, ids (B, h * w))."""

    def assign(self, z: Tensor) -> Tensor:
        """Return the ids (B, h * w) of latents; learns nothing."""

    def lookup(self, ids: Tensor, grid: tuple[int, int]) -> Tensor:
        """Return the vectors (B, d, h, w) of ids (B, h * w)."""

    def update(self) -> None:
        """Learn from the forwards since the last update. Does nothing where nothing is to be learnt."""

    def stats(self) -> dict[str, Tensor]:
        """Return 0-d tensors for the log, on the device, never read back here."""


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
