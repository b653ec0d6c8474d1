"""What an autoencoder is to those who evaluate it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class Output(NamedTuple):
    """What an autoencoder gave back: images (B, 3, H, W) around [-1, 1]; the ids (B, n) of its codes, if it has any."""

    images: Tensor
    ids: Tensor | None = None


class Autoencoder(Protocol):
    """An autoencoder that was read from a file or a folder: images in [-1, 1] to codes or latents, and back.

    Registered with the hook `register_autoencoders` as a class; what is read is looked at by each class until one
    accepts it.

    Attributes:
        multiple: Sides of images are multiples of so many pixels.
        codebook_size: Number of codes; None where latents are continuous.
        weights_sha256: Hash of its weights.
        facts: Words and numbers about it that tables show beside its name.
    """

    multiple: int
    codebook_size: int | None
    weights_sha256: str
    facts: dict[str, object]

    def __init__(self, path: Path, device: torch.device, **options: object) -> None:
        """Read it. Raises InputError or WeightsError where it cannot be read."""

    @classmethod
    def accepts(cls, path: Path) -> bool:
        """Whether a file or folder is of this kind, at a quick look that reads no weights."""
        ...

    def reconstruct(self, images: Tensor) -> Output:
        """Return the images (B, 3, H, W) in [-1, 1] as they come back, on the CPU, of their size."""
        ...
