"""Small losses of our own with exactly the published signatures, turns, ranges and returns of the known hosts.

The real classes cannot be committed; what is below was written for these tests and is as small as the conventions
allow. The files and commits of the real ones stand in `regionloss/hosts/presets.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from tests.helpers import images


class Adversarial(nn.Module):
    """L1, a perceptual distance with dropout, a discriminator, and the adaptive weight that VQGAN introduced."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.perceptual_loss = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout(0.5)).eval().requires_grad_(False)
        self.perceptual_weight = 0.9
        self.discriminator = nn.Conv2d(3, 1, 3)
        self.discriminator_weight = 0.8
        self.register_buffer("ema_logits", torch.zeros(1))

    def calculate_adaptive_weight(self, nll_loss: Tensor, g_loss: Tensor, last_layer: Tensor) -> Tensor:
        nll = torch.autograd.grad(nll_loss, last_layer, retain_graph=True)[0]
        g = torch.autograd.grad(g_loss, last_layer, retain_graph=True)[0]
        return (nll.norm() / (g.norm() + 1e-4)).clamp(0, 1e4).detach() * self.discriminator_weight

    def nll(self, inputs: Tensor, reconstructions: Tensor) -> Tensor:
        distance = (self.perceptual_loss(inputs) - self.perceptual_loss(reconstructions)).pow(2).mean()
        return (inputs - reconstructions).abs().mean() + self.perceptual_weight * distance

    def generator(self, inputs: Tensor, reconstructions: Tensor, last_layer: Tensor | None) -> tuple[Tensor, Tensor]:
        nll, g_loss = self.nll(inputs, reconstructions), -self.discriminator(reconstructions).mean()
        weight = 1.0 if last_layer is None else self.calculate_adaptive_weight(nll, g_loss, last_layer=last_layer)
        return nll + weight * g_loss, nll

    def critic(self, inputs: Tensor, reconstructions: Tensor) -> Tensor:
        real, fake = self.discriminator(inputs.detach()), self.discriminator(reconstructions.detach())
        self.ema_logits = self.ema_logits * 0.9 + real.detach().mean() * 0.1
        return 0.5 * ((1 - real).relu().mean() + (1 + fake).relu().mean())


class Taming(Adversarial):
    def forward(
        self, codebook_loss, inputs, reconstructions, optimizer_idx,
        global_step, last_layer=None, cond=None, split="train",
    ):  # fmt: skip
        if optimizer_idx == 0:
            loss, nll = self.generator(inputs, reconstructions, last_layer)
            loss = loss + codebook_loss.mean()
            return loss, {f"{split}/total_loss": loss.clone().detach().mean(), f"{split}/nll_loss": nll.detach()}
        loss = self.critic(inputs, reconstructions)
        return loss, {f"{split}/disc_loss": loss.clone().detach()}


class OcrVqgan(Taming):
    pass


class Ibq(Adversarial):
    def forward(
        self, codebook_loss, inputs, reconstructions, optimizer_idx,
        global_step, last_layer=None, cond=None, split="train",
    ):  # fmt: skip
        if isinstance(codebook_loss, tuple):
            codebook_loss = codebook_loss[0] + codebook_loss[3]
        return Taming.forward(
            self, codebook_loss, inputs, reconstructions, optimizer_idx, global_step, last_layer, cond, split
        )


class OpenMagvit2(Adversarial):
    def forward(
        self, codebook_loss, loss_break, inputs, reconstructions, optimizer_idx,
        global_step, last_layer=None, cond=None, split="train",
    ):  # fmt: skip
        if optimizer_idx == 1:
            loss = self.critic(inputs, reconstructions)
            return loss, {f"{split}/disc_loss": loss.clone().detach()}
        loss, nll = self.generator(inputs, reconstructions, last_layer)
        loss = loss + codebook_loss + loss_break.commitment * 0.25
        return loss, {f"{split}/total_loss": loss.clone().detach(), f"{split}/nll_loss": nll.detach()}


class WeTok(OpenMagvit2):
    def forward(
        self, codebook_loss, loss_break, inputs, reconstructions, optimizer_idx,
        global_step, last_layer=None, cond=None, split="train",
    ):  # fmt: skip
        if optimizer_idx == 2:  # the decoder alone
            loss, nll = self.generator(inputs, reconstructions, last_layer)
            return loss, {f"{split}/total_loss": loss.clone().detach(), f"{split}/nll_loss": nll.detach()}
        args = (codebook_loss, loss_break, inputs, reconstructions, optimizer_idx, global_step, last_layer, cond, split)
        return super().forward(*args)


class LlamaGen(Adversarial):
    def forward(self, codebook_loss, inputs, reconstructions, optimizer_idx, global_step, last_layer=None,
                logger=None, log_every=100):  # fmt: skip
        if optimizer_idx == 0:
            loss, _ = self.generator(inputs, reconstructions, last_layer)
            return loss + codebook_loss[0] + codebook_loss[1] + codebook_loss[2]
        return self.critic(inputs, reconstructions)


class OneDTokenizer(Adversarial):
    @torch.autocast("cpu", enabled=False)
    def forward(self, inputs, reconstructions, extra_result_dict, global_step, mode="generator"):
        inputs, reconstructions = inputs.float(), reconstructions.float()
        if mode == "generator":
            self.discriminator.requires_grad_(False)
            loss, nll = self.generator(inputs, reconstructions, None)
            loss = loss + extra_result_dict["quantizer_loss"]
            return loss, {"total_loss": loss.clone().detach(), "reconstruction_loss": nll.detach(), "d_weight": 1.0}
        self.discriminator.requires_grad_(True)
        loss = self.critic(inputs, reconstructions)
        return loss, {"discriminator_loss": loss.detach()}

    def should_discriminator_be_trained(self, global_step: int) -> bool:
        return global_step >= 10


class Stage1(nn.Module):
    """1d-tokenizer's first stage: compares codes."""

    def forward(self, target_codes, reconstructions, quantizer_loss):
        return nn.functional.cross_entropy(reconstructions, target_codes) + quantizer_loss, {}


class MaskBit(Adversarial):
    def forward(self, inputs, reconstructions, extra_result_dict, global_step, last_layer, mode="gen"):
        if mode == "gen":
            loss, nll = self.generator(inputs, reconstructions, last_layer)
            return loss + extra_result_dict["quantizer_loss"], {"reconstruction_loss": nll.detach()}
        loss = self.critic(inputs, reconstructions)
        return loss, {"discriminator_loss": loss.detach()}


Call = Callable[..., Any]
BREAK = SimpleNamespace(commitment=torch.tensor(0.2))
EXTRA = {"quantizer_loss": torch.tensor(0.1)}
CODES = tuple(torch.tensor(v) for v in (0.1, 0.2, 0.3, 0.4))


@dataclass(frozen=True)
class Double:
    """A host, how its own training loop calls it, and what a wrapped one must do.

    Args:
        make: Builds the loss.
        call: `(loss, target, reconstruction, last_layer, turn) -> output`.
        generator: Turns that train the generator.
        critic: The discriminator's turn.
        low: Lower end of the images' range.
        prefix: Of its logs.
    """

    make: type[nn.Module]
    call: Call
    generator: tuple[object, ...] = (0,)
    critic: object = 1
    low: float = -1.0
    prefix: str = "train/"

    def pair(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return images and reconstructions in the host's range, the latter from a one-layer decoder."""
        target, source = (images(3, dtype=torch.float32, seed=seed) for seed in (0, 1))
        if self.low == 0:
            target, source = (target + 1) / 2, (source + 1) / 2
        return target, nn.functional.conv2d(source, weight)


def by_position(loss, x, y, last, turn):
    return loss(torch.tensor(0.1), x, y, turn, 5, last_layer=last, split="train")


def with_break(loss, x, y, last, turn):
    return loss(torch.tensor(0.1), BREAK, x, y, turn, 5, last_layer=last, split="train")


def by_keyword(loss, x, y, last, turn):
    return loss(CODES, x, y, optimizer_idx=turn, global_step=5, last_layer=last, logger=None, log_every=100)


DOUBLES = {
    "taming": Double(Taming, by_position),
    "ocr-vqgan": Double(OcrVqgan, by_position),
    "ibq": Double(Ibq, lambda loss, x, y, last, turn: loss(CODES, x, y, turn, 5, last_layer=last, split="train")),
    "open-magvit2": Double(OpenMagvit2, with_break),
    "wetok": Double(WeTok, with_break, generator=(0, 2)),
    "llamagen": Double(LlamaGen, by_keyword, prefix=""),
    "1d-tokenizer": Double(
        OneDTokenizer, lambda loss, x, y, last, turn: loss(x, y, EXTRA, 5, mode=turn),
        ("generator",), "discriminator", 0.0, "",
    ),
    "maskbit": Double(
        MaskBit, lambda loss, x, y, last, turn: loss(x, y, EXTRA, 5, last, mode=turn), ("gen",), "disc", 0.0, ""
    ),
}  # fmt: skip
