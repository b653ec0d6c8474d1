"""Captions -> ids of images: the caption is read once, then ids are drawn with guidance."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from insighttok_ref.generator.cache import SlotCache
from insighttok_ref.generator.decoders import DrawnIds, decode
from insighttok_ref.generator.guidance import guided, probabilities
from insighttok_ref.generator.model import InsightAR
from insighttok_ref.generator.prompts import PromptBatch, PromptFormat
from insighttok_ref.training.compiler import Backend, check_compiler
from regionloss.errors import InputError, expected

#: A compiled step looks at all slots, whose number is a multiple of this: one graph serves captions of many lengths.
STRIDE = 256
COMPILER = "inductor"


@dataclass(frozen=True)
class Sampling:
    """How ids are drawn.

    Args:
        guidance: Weight of the caption; 1 asks no unconditional rows.
        temperature: Divides the logits; 0 takes the likeliest id.
        top_k: How many ids may be drawn; None for all.
        decoder: "plain", "jacobi", "coupled" or "grouped" (see `decoders.decode`).
        window: Drafts that are looked at in one forward.
        compile: What `torch.compile` compiles the step with, such as "inductor"; None for no compiler.
    """

    guidance: float = 5.0
    temperature: float = 1.0
    top_k: int | None = None
    decoder: str = "coupled"
    window: int = 16
    compile: Backend | None = None


def compiler_of(device: torch.device) -> str:
    """Return what compiles a step for a device. Raises PluginError where it cannot."""
    check_compiler(device, COMPILER, "--compile", "generate without --compile.")
    return COMPILER


class CachedReader:
    """A model with what it has read: it is told ids at places of an image, and says what may follow each.

    Args:
        model: Generator that reads and writes, in eval mode.
        prompts: B rows of text ids.
        count: Number n of ids of an image.
        sampling: How logits become probabilities.
        nothing: The same prompts without their captions; None where there is no guidance.
    """

    def __init__(
        self, model: InsightAR, prompts: PromptBatch, count: int, sampling: Sampling, nothing: PromptBatch | None
    ) -> None:
        self.model, self.sampling = model, sampling
        both = [prompts] if nothing is None else [prompts, nothing]
        self.times = len(both)
        self.text, self.pads = (torch.cat(parts) for parts in zip(*both, strict=True))
        slots = self.text.shape[1] + count + sampling.window
        self.cache = SlotCache(slots if sampling.compile is None else -(-slots // STRIDE) * STRIDE)
        self.step: Callable[[Tensor, Tensor], Tensor] = self.logits_after
        if sampling.compile is not None:
            self.step = torch.compile(self.logits_after, dynamic=False, backend=sampling.compile)

    def first(self) -> Tensor:
        """Read the captions; return the probabilities (B, K) of the first id."""
        slots = torch.arange(self.text.shape[1], device=self.text.device).expand_as(self.text)
        self.cache.at, self.cache.limit = slots, self.text.shape[1]
        return self.drawable(self.logits(self.model.embed_text(self.text), slots, keep=1))[:, 0]

    def __call__(self, ids: Tensor, starts: Tensor) -> Tensor:
        """Return probabilities (B, W, K) of what follows each of ids (B, W), whose first stand at places (B,)."""
        slots = self.text.shape[1] + starts[:, None] + torch.arange(ids.shape[1], device=ids.device)
        slots = slots.repeat(self.times, 1)
        self.cache.at = slots
        self.cache.limit = self.cache.slots if self.sampling.compile is not None else int(slots.max()) + 1
        return self.drawable(self.step(ids, slots))

    def logits_after(self, ids: Tensor, slots: Tensor) -> Tensor:
        """Return the guided logits (B, W, K) of what follows each of ids (B, W)."""
        vectors = self.model.embed_image(ids)
        return self.logits(vectors.repeat(self.times, 1, 1), slots, keep=ids.shape[1])

    def logits(self, vectors: Tensor, slots: Tensor, keep: int) -> Tensor:
        """Return the guided logits of what follows the last few of some vectors."""
        positions = (slots - self.pads[:, None]).clamp(min=0)
        states = self.model.hidden(vectors, self.cache.mask(self.pads), positions, self.cache)
        features = self.model.head[:-1](states[:, -keep:])
        if self.times == 2:
            conditional, unconditional = features.float().chunk(2)
            features = guided(conditional, unconditional, self.sampling.guidance).to(features)
        logits: Tensor = self.model.head[-1](features)
        return logits

    def drawable(self, logits: Tensor) -> Tensor:
        """Return the probabilities that ids are drawn from."""
        return probabilities(logits, self.sampling.temperature, self.sampling.top_k)


@torch.inference_mode()
def sample(
    model: InsightAR, form: PromptFormat, prompts: PromptBatch, count: int, seeds: Tensor, sampling: Sampling
) -> DrawnIds:
    """Return the ids (B, n) of images.

    Args:
        model: The generator, in eval mode.
        form: Format of the prompts.
        prompts: B of them.
        count: Number n of ids of an image.
        seeds: (B,), one an image; with the same seed and the same settings an image is the same in any batch, as far
            as the model's own arithmetic is.
        sampling: How ids are drawn.

    Raises:
        InputError: The prompts are too long, or there are fewer codes than `top_k`.
    """
    check(model, prompts, count, sampling)
    nothing = None if sampling.guidance == 1 else form.without_caption(prompts)
    reader = CachedReader(model, prompts, count, sampling, nothing)
    codebook = model.codebook.weight
    return decode(reader, reader.first(), count, seeds, sampling.decoder, sampling.window, codebook=codebook)


def check(model: InsightAR, prompts: PromptBatch, count: int, sampling: Sampling) -> None:
    """Raise InputError for prompts and settings that the model cannot serve."""
    longest = prompts.ids.shape[1]
    if longest + count - 1 > model.context:
        room = model.context - count + 1
        got = f"{longest} before the {count} of the image"
        wanted = f"at most {max(room, 0)} tokens of text"
        raise InputError(expected("prompt", wanted, got, f"The model's context is {model.context} tokens."))
    if sampling.top_k is not None and not 1 <= sampling.top_k <= model.codes:
        raise InputError(expected("--top-k", f"from 1 to {model.codes}, the number of codes", str(sampling.top_k)))
    if not math.isfinite(sampling.guidance):
        raise InputError(expected("--cfg", "a finite number", str(sampling.guidance)))
    if not 0 <= sampling.temperature < math.inf:
        raise InputError(expected("--temperature", "0 or more", str(sampling.temperature)))
    if sampling.window < 1:
        raise InputError(expected("--window", "1 or more", str(sampling.window)))
