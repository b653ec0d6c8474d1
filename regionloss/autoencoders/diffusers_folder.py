"""Autoencoders in a folder that diffusers can load."""

from __future__ import annotations

import hashlib
import importlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from regionloss.autoencoders.base import Output
from regionloss.errors import InputError, WeightsError, expected, reason_of
from regionloss.weights import sha256_of

CONFIG, WEIGHTS = "config.json", ("*.safetensors", "*.bin")


class DiffusersAutoencoder:
    """An autoencoder of diffusers: the folder that `save_pretrained` wrote, or a pipeline's folder with one in `vae/`.

    Images pass as the mode of its latents, no noise is drawn.

    Args:
        path: Folder to read.
        device: Where it computes.
        dtype: Precision of its weights, a name of torch's.

    Raises:
        InputError: Its class is none of the installed diffusers', or has no encoder and decoder.
        WeightsError: Its weights are absent or broken.
    """

    codebook_size: int | None = None

    def __init__(self, path: Path, device: torch.device, dtype: str = "float32") -> None:
        folder = folder_of(path)
        name = class_name(folder)
        try:
            kind: Any = getattr(importlib.import_module("diffusers"), name)
        except AttributeError:
            raise InputError(
                expected(str(folder / CONFIG), "a class of the installed diffusers", f"'{name}'")
            ) from None
        if not hasattr(kind, "encode") or not hasattr(kind, "decode"):
            raise InputError(expected(str(folder / CONFIG), "an autoencoder", f"'{name}'"))
        try:
            self.model = kind.from_pretrained(
                folder, torch_dtype=getattr(torch, dtype), local_files_only=True, low_cpu_mem_usage=False
            )
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            raise WeightsError(expected(str(folder), f"the weights of '{name}'", reason_of(error))) from error
        self.model.to(device).eval().requires_grad_(False)
        files = sorted(file for pattern in WEIGHTS for file in folder.glob(pattern))
        self.weights_sha256 = hashlib.sha256("".join(map(sha256_of, files)).encode()).hexdigest()
        self.device, self.dtype = device, getattr(torch, dtype)
        self.multiple = multiple_of(self.model)
        self.codebook_size = codebook_size(self.model)
        self.facts = {"class": name, "dtype": dtype}

    @classmethod
    def accepts(cls, path: Path) -> bool:
        """Whether a folder holds the configuration of one of diffusers' models."""
        try:
            return bool(class_name(folder_of(path)))
        except InputError:
            return False

    @torch.no_grad()
    def reconstruct(self, images: Tensor) -> Output:
        """Return the images (B, 3, H, W) in [-1, 1] as they come back, on the CPU."""
        latents, ids = encoded(self.model, images.to(self.device, self.dtype))
        output = self.model.decode(latents)
        return Output(getattr(output, "sample", output).float().cpu(), ids)


def folder_of(path: Path) -> Path:
    """Return the folder of the autoencoder itself, which a pipeline's folder calls `vae` or `vqvae`."""
    inside = (path / name for name in ("vae", "vqvae", "movq"))
    return next((folder for folder in inside if not (path / CONFIG).is_file() and (folder / CONFIG).is_file()), path)


def class_name(folder: Path) -> str:
    """Return the name of the class that a folder's configuration is of. Raises InputError where it says none."""
    path = folder / CONFIG
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        name = found["_class_name"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(expected(str(path), "the configuration of a model of diffusers", reason_of(error))) from error
    return str(name)


def encoded(model: Any, images: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return what the decoder takes, and the ids of the codes where there are any."""
    output = model.encode(images)
    if (distribution := getattr(output, "latent_dist", None)) is not None:
        return distribution.mode(), None
    latents = next(getattr(output, name) for name in ("latents", "latent") if hasattr(output, name))
    if (quantize := getattr(model, "quantize", None)) is not None:
        ids = quantize(latents)[2][2]
        return latents, ids.reshape(len(images), -1).cpu()
    return latents, None


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
