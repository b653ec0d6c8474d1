"""A discriminator of patches, and what it and the tokenizer tell one another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from math import gcd
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from insighttok_ref.objective.joint_norm import JointBatchNorm
from insighttok_ref.objective.lecam import LeCAM
from insighttok_ref.objective.losses import Losses
from insighttok_ref.schema import ComponentUse
from regionloss.errors import InputError, expected
from regionloss.hooks.catalogue import catalogue
from regionloss.runs import rank_and_size, sum_over_ranks

PATCHGAN = ("patchgan", "insighttok/patchgan")


class AdversarialOptions(ComponentUse):
    """The adversarial part: who learns and who listens, from which step of the run on.

    Args:
        weight: Weight of the generator's loss (InsightTok: eta = 0.5).
        learn_from: First step at which the discriminator learns.
        listen_from: First step at which the tokenizer hears it; not before it has learnt.
        lecam: Weight of the LeCAM regularisation in the discriminator's loss.
        lecam_decay: Decay of LeCAM's moving averages of the logits.
        adaptive: Scale the weight by VQGAN's ratio of gradients at the decoder's last layer.
        adaptive_max: Largest value of the adaptive weight.
        ndf: Width of the first layer.
        layers: Strided layers after the first.
        norm: `batch` (pix2pix; by the images of one micro-batch on one rank), `sync` (of one micro-batch on all ranks
            together), or `group`, which knows no batch: then neither ranks nor micro-batches make a difference.
        use: A registered discriminator by name; `ndf`, `layers` and `norm` are those of `patchgan`.
        options: Options of another discriminator's constructor.
    """

    kind: ClassVar[str] = "discriminator"

    use: str = "patchgan"
    weight: PositiveFloat = 0.5
    learn_from: NonNegativeInt = 0
    listen_from: NonNegativeInt = 0
    lecam: NonNegativeFloat = 0.05
    lecam_decay: float = Field(default=0.999, ge=0, lt=1)
    adaptive: bool = False
    adaptive_max: PositiveFloat = 1e4
    ndf: PositiveInt = 64
    layers: PositiveInt = 3
    norm: Literal["batch", "sync", "group"] = "batch"

    @model_validator(mode="after")
    def _learnt_first(self) -> AdversarialOptions:
        if self.listen_from < self.learn_from:
            raise ValueError(
                f"expected listen_from at learn_from ({self.learn_from}) or later, got {self.listen_from}. A "
                "discriminator that has not learnt misleads the tokenizer."
            )
        return self


class PatchGAN(nn.Sequential):
    """pix2pix's discriminator: a logit for each patch; 30 x 30 of them for 256 x 256 pixels.

    Args:
        ndf: Width of the first layer.
        layers: Strided layers after the first.
        norm: Normalisation between convolutions: `batch`, `sync` (over all ranks) or `group`.

    Source: Isola et al. (2017); InsightTok, Table 11 (2.8M weights: ndf 64, 3 layers).
    """

    def __init__(self, ndf: int = 64, layers: int = 3, norm: str = "batch") -> None:
        widths = [ndf * min(2**level, 8) for level in range(layers + 1)]
        modules: list[nn.Module] = [nn.Conv2d(3, ndf, 4, 2, 1), nn.LeakyReLU(0.2)]
        for level, (before, after) in enumerate(pairwise(widths), 1):
            stride = 2 if level < layers else 1
            modules += [nn.Conv2d(before, after, 4, stride, 1, bias=False), normalization(norm, after)]
            modules += [nn.LeakyReLU(0.2)]
        super().__init__(*modules, nn.Conv2d(widths[-1], 1, 4, 1, 1))
        self.smallest = 3 * 2**layers
        self.apply(initialize)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, 1, h, w) of images (B, 3, H, W)."""
        height, width = images.shape[-2:]
        if min(height, width) < self.smallest:
            wanted, advice = f"images of {self.smallest} pixels a side or more", "Take fewer layers or larger images."
            raise InputError(expected("objective.adversarial", wanted, f"{height} x {width}", advice))
        logits: Tensor = super().forward(images)  # type: ignore[no-untyped-call]  # of torch
        return logits


def normalization(norm: str, width: int) -> nn.Module:
    """Return a normalisation of `width` channels."""
    if norm == "group":
        return nn.GroupNorm(gcd(32, width), width)
    return JointBatchNorm(width) if norm == "sync" else nn.BatchNorm2d(width)


def initialize(module: nn.Module) -> None:
    """Draw weights as pix2pix does: N(0, 0.02) for convolutions, N(1, 0.02) for normalisations."""
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


def build_discriminator(options: AdversarialOptions) -> nn.Module:
    """Return the discriminator of some options: a module from images (B, 3, H, W) to logits of any shape."""
    own = {"ndf": options.ndf, "layers": options.layers, "norm": options.norm} if options.use in PATCHGAN else {}
    made: nn.Module = catalogue().build("discriminator", options.use, {**own, **options.options})
    return made


class Adversary(nn.Module):
    """The tokenizer's opponent: a discriminator with hinge losses, and LeCAM's moving averages.

    Gradients never leak: the generator's loss gives none to the discriminator, the discriminator's none to the
    reconstruction.

    Args:
        options: Options of discriminator and losses.

    Source: InsightTok, Appendix E.1.
    """

    def __init__(self, options: AdversarialOptions) -> None:
        super().__init__()
        self.options = options
        self.discriminator = build_discriminator(options)
        self.lecam = LeCAM(options.lecam_decay)

    def generator_loss(self, reconstruction: Tensor) -> Tensor:
        """Return -mean D(y), 0-d, for reconstructions (B, 3, H, W)."""
        with frozen(self.discriminator):
            return -wide(self.discriminator(reconstruction)).mean()

    def discriminator_loss(self, reconstruction: Tensor, target: Tensor) -> Losses:
        """Return mean relu(1 - D(x)) / 2 + mean relu(1 + D(y)) / 2 + lecam, and its parts by name.

        Args:
            reconstruction: (B, 3, H, W) in [-1, 1]; gets no gradient.
            target: Targets of the same shape.
        """
        fake = wide(self.discriminator(reconstruction.detach()))
        real = wide(self.discriminator(target))
        hinge = 0.5 * (F.relu(1 - real).mean() + F.relu(1 + fake).mean())
        lecam = self.lecam(real.mean(), fake.mean())
        parts = {"discriminator": hinge, "lecam": lecam, "logits_real": real.mean(), "logits_fake": fake.mean()}
        return Losses(hinge + self.options.lecam * lecam, parts)


def wide(logits: Tensor) -> Tensor:
    """Return logits in float32 at least."""
    return logits if logits.dtype == torch.float64 else logits.float()


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Let what is computed inside give no gradients to a module's weights."""
    module.requires_grad_(False)
    try:
        yield
    finally:
        module.requires_grad_(True)


def adaptive_weight(pixels: Tensor, heard: Tensor, last_layer: Tensor, most: float) -> Tensor:
    """Return |grad of pixels| / (|grad of heard| + 1e-4) at a layer, at most `most`: 0-d, detached, float32.

    Args:
        pixels: The losses that the adversarial one is weighed against, 0-d.
        heard: The generator's loss, 0-d.
        last_layer: The weight at which gradients are compared.
        most: Largest value of the weight.

    Source: Esser et al. (2021), eq. 7. Under several ranks the norms are means over them.
    """
    losses = (pixels, heard)
    norms = torch.stack([torch.autograd.grad(loss, last_layer, retain_graph=True)[0].float().norm() for loss in losses])
    ours: Tensor
    theirs: Tensor
    ours, theirs = sum_over_ranks(norms) / rank_and_size()[1]
    return (ours / (theirs + 1e-4)).clamp(0.0, most).detach()
