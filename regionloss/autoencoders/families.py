"""Families of diffusers' autoencoders: what each does its own way, between images in [-1, 1] and latents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from regionloss.autoencoders.base import HeldLatents
from regionloss.errors import InputError, expected


@dataclass(frozen=True)
class Family:
    """How one kind of autoencoder is asked; the fields are those of `AutoencoderKL`.

    Attributes:
        encode: Images (B, 3, H, W) in [-1, 1] to what its decoder takes, and what an encoder that learns is held by.
        decode: That to images, not clamped: beyond a clamp no gradient would pass.
        side: The model's attribute that is the one side of images it takes; empty where any serves.
    """

    encode: Callable[[Any, Tensor], HeldLatents]
    decode: Callable[[Any, Tensor], Tensor]
    side: str = ""


def family_of(model: Any) -> Family:
    """Return how a model of diffusers is asked; one that is not in the table is asked as `AutoencoderKL`."""
    return FAMILIES.get(type(model).__name__, PLAIN)


def plain_latents(model: Any, images: Tensor) -> HeldLatents:
    """Return the mode of a distribution, or the latents themselves."""
    output = model.encode(images)
    if (distribution := getattr(output, "latent_dist", None)) is not None:
        return HeldLatents(distribution.mode(), logvar=distribution.logvar)
    return HeldLatents(next(getattr(output, name) for name in ("latents", "latent") if hasattr(output, name)))


def plain_images(model: Any, latents: Tensor) -> Tensor:
    """Return what the model's own `decode` gives."""
    output = model.decode(latents)
    images: Tensor = getattr(output, "sample", output)
    return images


def frame_latents(model: Any, images: Tensor) -> HeldLatents:
    """Return the latents (B, c, h, w) of a clip of one frame."""
    distribution = model.encode(images[:, :, None]).latent_dist
    return HeldLatents(distribution.mode()[:, :, 0], logvar=distribution.logvar[:, :, 0])


def frame_images(model: Any, latents: Tensor) -> Tensor:
    """Return the one frame; the model's own `decode` would clamp it."""
    images: Tensor = model.decoder(model.post_quant_conv(latents[:, :, None]))[:, :, 0]
    return images


def wan_images(model: Any, latents: Tensor) -> Tensor:
    """Return the one frame, of patches whose columns come before their rows (Wan 2.2)."""
    images: Tensor = model.decoder(model.post_quant_conv(latents[:, :, None]), first_chunk=True)[:, :, 0]
    return F.pixel_shuffle(images.mT, patch).mT if (patch := model.config.patch_size or 1) > 1 else images


def code_vectors(model: Any, images: Tensor) -> HeldLatents:
    """Return the vectors of the codes (B, d, h, w), and their ids, row by row."""
    vectors, commitment, (_, _, ids) = model.quantize(model.encode(images).latents)
    return HeldLatents(vectors, ids.reshape(len(images), -1), commitment=commitment)


def code_images(model: Any, vectors: Tensor) -> Tensor:
    """Return the images of vectors; the model's own `decode` would quantise them again, or take them for ids."""
    spatial = model.config.norm_type == "spatial"
    images: Tensor = model.decoder(model.post_quant_conv(vectors), vectors if spatial else None)
    return images


def unit_latents(model: Any, images: Tensor) -> HeldLatents:
    """Return the latents of a model that takes images in [0, 1], of one size."""
    side = model.decoder_image_size
    if images.shape[2:] != (side, side):
        got = f"{images.shape[2]} x {images.shape[3]}"
        raise InputError(expected("images", f"{side} x {side} pixels, the one size of this autoencoder", got))
    return plain_latents(model, images / 2 + 0.5)


def unit_images(model: Any, latents: Tensor) -> Tensor:
    """Return the images of a model that gives them in [0, 1]."""
    return plain_images(model, latents) * 2 - 1


PLAIN = Family(plain_latents, plain_images)
FAMILIES = {
    "AutoencoderKLQwenImage": Family(frame_latents, frame_images),
    "AutoencoderKLWan": Family(frame_latents, wan_images),
    "AutoencoderRAE": Family(unit_latents, unit_images, side="decoder_image_size"),
    "VQModel": Family(code_vectors, code_images),
}
