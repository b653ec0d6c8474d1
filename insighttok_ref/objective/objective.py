"""One total for the tokenizer's optimizer, every part logged by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from pydantic import NonNegativeFloat, model_validator
from torch import Tensor

from insighttok_ref.objective.adversarial import AdversarialOptions, Adversary, adaptive_weight
from insighttok_ref.objective.extra import ExtraOptions, build_extra
from insighttok_ref.objective.losses import Losses
from insighttok_ref.objective.perceptual import PerceptualLoss, PerceptualOptions
from insighttok_ref.objective.reconstruction import edges, l1, l2
from insighttok_ref.schema import Strict
from insighttok_ref.tokenizers.base import TokenizerOutput
from regionloss.errors import InputError, expected
from regionloss.losses import LossTerms
from regionloss.regions import Regions

PIXELS = {"l1": l1, "l2": l2, "edges": edges}
#: What the log calls the parts: no region term may have one of these names.
TAKEN = {*PIXELS, "commitment", "kl", "perceptual", "adversarial", "adaptive_weight", "total"}
TAKEN |= {"discriminator", "lecam", "logits_real", "logits_fake"}


class ObjectiveOptions(Strict):
    """Weight of each part; a part of weight 0 is not computed. Region terms have theirs in the recipe's `terms`.

    Args:
        l1: Weight of the mean absolute difference of pixels.
        l2: Weight of the mean squared difference of pixels.
        edges: Weight of the difference of neighbouring pixels' differences.
        commitment: Times the quantizer's own beta.
        kl: Weight of the divergence of latents from a standard normal distribution, where an encoder that has one
            learns: its sum over an image's latents, divided by the number of the image's values, as latent diffusion
            has it.
        perceptual: LPIPS or another; None for none.
        adversarial: PatchGAN or another; None for none.
        extra: Losses that plugins bring, by the name that the log has.
    """

    l1: NonNegativeFloat = 1.0
    l2: NonNegativeFloat = 0.0
    edges: NonNegativeFloat = 0.0
    commitment: NonNegativeFloat = 1.0
    kl: NonNegativeFloat = 1e-6
    perceptual: PerceptualOptions | None = None
    adversarial: AdversarialOptions | None = None
    extra: Mapping[str, ExtraOptions] = {}

    def components(self) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """Yield kind, name and options of every registered part."""
        for part in (self.perceptual, self.adversarial, *self.extra.values()):
            if part is not None:
                yield part.kind, part.use, part.options

    @model_validator(mode="after")
    def _weighed(self) -> ObjectiveOptions:
        adaptive = self.adversarial is not None and self.adversarial.adaptive
        if adaptive and self.perceptual is None and not any(getattr(self, name) for name in PIXELS):
            raise ValueError(
                "expected l1, l2, edges or perceptual beside an adaptive adversarial weight, got none. It is weighed "
                "against them: give one of them a weight."
            )
        return self


class Objective:
    """total = sum_i w_i part_i over pixels, commitment, LPIPS and PatchGAN, plus the region terms (InsightTok, eq. 15).

    Args:
        options: Weights of the parts.
        terms: Region terms with their weights; none for a phase without.
        watched: Region terms that are logged for comparison and trained by nothing.
        perceptual: The perceptual loss of the options.
        adversary: The discriminator of the options.

    Raises:
        InputError: A region term has the name of another part.
    """

    def __init__(
        self,
        options: ObjectiveOptions,
        terms: LossTerms | None = None,
        watched: LossTerms | None = None,
        perceptual: PerceptualLoss | None = None,
        adversary: Adversary | None = None,
    ) -> None:
        self.options, self.terms, self.watched = options, terms, weightless(watched)
        self.perceptual, self.adversary = perceptual, adversary
        self.extra = build_extra(options.extra)
        named = [name for found in (terms, self.watched) if found is not None for name in found.terms]
        clashes = [("terms", name) for name in named if name in {*TAKEN, *options.extra}]
        clashes += [("objective.extra", name) for name in options.extra if name in TAKEN]
        for where, name in clashes:
            wanted = "a name that no other part of the loss has"
            raise InputError(expected(f"{where}.{name}", wanted, f"'{name}'", "Call it otherwise in the recipe."))

    def __call__(
        self,
        output: TokenizerOutput,
        target: Tensor,
        regions: Mapping[str, Regions],
        *,
        step: int | None = None,
        listening: bool = False,
        last_layer: Tensor | None = None,
    ) -> Losses:
        """Return the losses of a batch.

        Args:
            output: What the tokenizer gave back for `target`.
            target: (B, 3, H, W) in [-1, 1].
            regions: Regions of the target by kind.
            step: Step of the phase, for terms that start late.
            listening: Whether the adversarial part counts now.
            last_layer: The decoder's last weight, for an adaptive adversarial weight.
        """
        options = self.options
        weights: dict[str, float] = {name: getattr(options, name) for name in (*PIXELS, "commitment")}
        made = output.reconstruction
        parts = {name: pixels(made, target) for name, pixels in PIXELS.items() if weights[name]}
        if self.perceptual is not None and options.perceptual is not None:
            parts["perceptual"], weights["perceptual"] = self.perceptual(made, target), options.perceptual.weight
        compared = dict(parts)
        for name, loss in self.extra.items():
            parts[name], weights[name] = loss(output, target, regions), options.extra[name].weight
        if output.commits:
            parts["commitment"] = output.commit_loss
        if output.kl is not None and options.kl:
            parts["kl"], weights["kl"] = output.kl, options.kl
        total = sum((weights[name] * value for name, value in parts.items()), output.commit_loss.new_zeros(()))
        if listening and self.adversary is not None:
            pixels_and_lpips = sum((weights[name] * value for name, value in compared.items()), made.new_zeros(()))
            heard, more = self._heard(made, pixels_and_lpips, last_layer)
            total, parts = total + heard, parts | more
        if self.terms is not None and self.terms.terms:
            found = self.terms(made, target, with_absent(regions, self.terms.kinds, target), step)
            total, parts = total + found.total, parts | found.by_term
        return Losses(total, parts)

    def _heard(self, made: Tensor, compared: Tensor, last_layer: Tensor | None) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the adversarial part, weighted, and what is logged of it."""
        options = self.options.adversarial
        assert options is not None and self.adversary is not None  # noqa: PT018
        loss = self.adversary.generator_loss(made)
        if not options.adaptive:
            return options.weight * loss, {"adversarial": loss}
        if last_layer is None or not last_layer.requires_grad:
            got = "none" if last_layer is None else "a frozen one"
            wanted, advice = "a last layer that is trained", "Set adaptive to false."
            raise InputError(expected("objective.adversarial.adaptive", wanted, got, advice))
        factor = adaptive_weight(compared, loss, last_layer, options.adaptive_max)
        return options.weight * factor * loss, {"adversarial": loss, "adaptive_weight": factor}

    def reweigh(self, weights: Mapping[str, float]) -> None:
        """Give region terms other weights, by their names; those of weight 0 are left out, and not computed."""
        terms = self.terms.terms if self.terms is not None else {}
        weighed = {name: replace(term, weight=weights.get(name, term.weight)) for name, term in terms.items()}
        self.terms = LossTerms(
            {name: term for name, term in weighed.items() if term.weight},
            timed=self.terms is not None and self.terms.watch is not None,
        )

    def costs(self) -> dict[str, float]:
        """Return milliseconds of each timed term's forward pass, by the names that they have in the log."""
        watch = None if self.terms is None else self.terms.watch
        return {} if watch is None else {f"cost/{name}_ms": spent for name, spent in watch.milliseconds.items()}

    @torch.no_grad()
    def watch(self, output: TokenizerOutput, target: Tensor, regions: Mapping[str, Regions]) -> dict[str, Tensor]:
        """Return the terms that this phase does not train, by name; arguments as for a call."""
        if self.watched is None or not self.watched.terms:
            return {}
        by_term: dict[str, Tensor] = self.watched(output.reconstruction.detach(), target, regions).by_term
        return by_term


def with_absent(regions: Mapping[str, Regions], kinds: Iterable[str], target: Tensor) -> dict[str, Regions]:
    """Return a batch's regions, with none of a kind that it lacks.

    In a training a batch of images that nobody has looked at is no mistake of the caller's, of which `LossTerms` would
    warn: the trainer says which terms meet no regions.

    Args:
        regions: Regions of the batch, by kind.
        kinds: Kinds that are read.
        target: Images of the batch, (B, 3, H, W).
    """
    return {kind: Regions.empty(kind, (target.shape[2], target.shape[3])) for kind in kinds} | dict(regions)


def weightless(terms: LossTerms | None) -> LossTerms | None:
    """Return terms that count for nothing: no warning asks whether the data should have their regions."""
    if terms is None:
        return None
    return LossTerms({name: replace(term, weight=0.0) for name, term in terms.terms.items()})
