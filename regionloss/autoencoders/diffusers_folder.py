"""Autoencoders of diffusers: in a folder, in a pipeline's folder, or in one file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from regionloss.autoencoders.base import Encoded, HeldLatents, TrainableAutoencoder
from regionloss.autoencoders.diffusers_files import CONFIG, STEM, commonest, configuration, folder_of, read_folder
from regionloss.autoencoders.diffusers_writer import write
from regionloss.autoencoders.families import family_of
from regionloss.autoencoders.single_file import is_single_file, read_file
from regionloss.errors import InputError, expected
from regionloss.weights import sha256_of


class DiffusersAutoencoder(TrainableAutoencoder):
    """An autoencoder of diffusers: the folder that `save_pretrained` wrote, a pipeline's folder with one in `vae/`, or
    a single file of an `AutoencoderKL`, alone or within a checkpoint of Stable Diffusion.

    Args:
        path: Folder or file to read.
        device: Where it computes.
        dtype: Precision in which it computes, a name of torch's; it is saved in that of the file all the same.
        config: Configuration of a single file, or a folder that holds it; None to derive it from names and shapes.

    Raises:
        InputError: Its class is none of the installed diffusers', has no encoder and decoder, or takes other images.
        WeightsError: Its weights are absent or broken.
    """

    def __init__(self, path: Path, device: torch.device, dtype: str = "float32", config: Path | None = None) -> None:
        precision = getattr(torch, dtype, None)
        if not isinstance(precision, torch.dtype) or not precision.is_floating_point:
            raise InputError(expected("dtype", "'float32', 'bfloat16' or 'float16'", repr(dtype)))
        folder = folder_of(path)
        self.read = read_folder(folder, precision) if folder.is_dir() else read_file(path, precision, config)
        self.model: Any = self.read.model
        self.model.to(device).eval().requires_grad_(False)
        self.module: nn.Module = self.model
        self.family = family_of(self.model)
        self.weights_sha256 = hashlib.sha256("".join(map(sha256_of, self.read.files)).encode()).hexdigest()
        self.side = getattr(self.model, self.family.side) if self.family.side else None
        self.multiple = self.side or multiple_of(self.model)
        self.codebook_size = codebook_size(self.model)
        stored = str(commonest(self.read.types)).removeprefix("torch.")
        self.facts = {"class": type(self.model).__name__, "dtype": dtype, "stored": stored}
        if notes := [*self.read.notes, *half_precision(stored)]:
            self.facts["notes"] = notes

    @classmethod
    def accepts(cls, path: Path) -> bool:
        """Whether a folder holds configuration or weights of a model of diffusers, or a file the names of one."""
        folder = folder_of(path)
        if not folder.is_dir():
            return is_single_file(path)
        try:
            return bool(configuration(folder / CONFIG))
        except InputError:
            return any(folder.glob(f"{STEM}*"))

    def encode(self, images: Tensor) -> Encoded:
        """Return what the decoder takes, of images (B, 3, H, W) in [-1, 1]; no noise is drawn."""
        found = self.held_latents(images)
        return Encoded(found.latents, found.ids)

    def held_latents(self, images: Tensor) -> HeldLatents:
        """Return the same, and the variance of latents that have one, or the model's own loss of its codes."""
        if images.ndim != 4 or images.shape[1] != 3:
            raise InputError(expected("images", "a shape (B, 3, H, W)", str(tuple(images.shape))))
        return self.family.encode(self.model, images)

    def decode(self, latents: Tensor) -> Tensor:
        """Return images (B, 3, H, W) around [-1, 1], not clamped, of the latents that `encode` gives."""
        return self.family.decode(self.model, latents)

    def save(self, path: Path) -> Path:
        """Write configuration and weights as they were found, and the single file beside them; return its path."""
        return write(path, self.read)


def multiple_of(model: Any) -> int:
    """Return of what the sides of images are multiples: by how much the model makes them smaller."""
    config = model.config
    if (
        known := config.get("spatial_compression_ratio") or getattr(model, "spatial_compression_ratio", None)
    ) is not None:
        return int(known)
    blocks = config.get("block_out_channels") or config.get("encoder_block_out_channels") or [1]
    return int(2 ** (len(blocks) - 1))


def codebook_size(model: Any) -> int | None:
    """Return the number of codes of a discrete autoencoder; None of a continuous one."""
    quantize = getattr(model, "quantize", None)
    return None if quantize is None else int(model.config.num_vq_embeddings)


def half_precision(stored: str) -> list[str]:
    """Return a sentence where a file's precision is less than that of training."""
    if stored not in ("float16", "bfloat16"):
        return []
    return [
        f"Its weights are {stored}: what is trained is rounded to that when it is saved. A float32 file keeps more."
    ]
