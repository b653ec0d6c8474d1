"""What a tokenizer promises."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor

from insighttok_ref.quantizers.base import Quantizer


class TokenizerOutput(NamedTuple):
    """What a training step needs of the tokenizer; latents and the vectors in their place for losses that see them."""

    reconstruction: Tensor
    commit_loss: Tensor
    ids: Tensor
    latents: Tensor | None = None
    quantized: Tensor | None = None


@runtime_checkable
class Tokenizer(Protocol):
    """Images (B, 3, H, W) in [-1, 1] to ids (B, n) and back: a module; `build_tokenizer` keeps its options as `config`.

    `downsampling` is the side of a token in pixels.
    """

    quantize: Quantizer
    downsampling: int

    @property
    def last_layer(self) -> Tensor:
        """The weight whose gradients an adaptive loss weight compares."""

    def __call__(self, x: Tensor) -> TokenizerOutput:
        """Reconstruct images (B, 3, H, W)."""

    def set_trainable(self, parts: Iterable[str]) -> None:
        """Let only these parts learn, of "encoder", "quantizer" and "decoder"."""

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
