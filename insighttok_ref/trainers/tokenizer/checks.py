"""What a recipe asks for that cannot work, said before data are looked through and before anything is trained."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch

from insighttok_ref.objective.adversarial import PatchGAN
from insighttok_ref.trainers.tokenizer.options import build_tokenizer
from insighttok_ref.trainers.tokenizer.plan import Part
from insighttok_ref.trainers.tokenizer.settings import Settings
from regionloss.data.batches import Share
from regionloss.errors import InputError, UnknownNameError, did_you_mean, expected


def share_of(part: Part, micro_batch: int | None, rank: int, size: int) -> Share:
    """Return how a part's batch is cut.

    Raises:
        InputError: It does not divide; the sentence says which batches would.
    """
    batch, whole = part.phase.batch_size, size * (micro_batch or 1)
    if batch % whole:
        cut = f"{size} processes" + (f" x engine.micro_batch {micro_batch}" if micro_batch else "")
        near = [str(number) for number in (batch // whole * whole, (batch // whole + 1) * whole) if number]
        advice = f"Say {' or '.join(near)}, or cut {batch} into another micro_batch or number of processes."
        raise InputError(expected(f"phase '{part.name}': batch_size", f"a multiple of {cut}", str(batch), advice))
    return Share(batch, micro_batch, rank, size)


def check_mix(mix: Mapping[str, float], sources: Collection[str], where: str) -> None:
    """Raise a sentence for a mix of a source that the data do not have, or of nothing."""
    for name in mix:
        if name not in sources:
            advice = did_you_mean(name, sources)
            raise UnknownNameError(expected(f"{where}.{name}", "a source of data.sources", f"'{name}'", advice))
    if mix and not any(mix.values()):
        raise InputError(expected(where, "a share above 0", str(dict(mix))))


def check_fit(settings: Settings, image_size: int) -> None:
    """See that model, discriminator and phases fit one another.

    Raises:
        InputError: Images that the tokenizer or the discriminator cannot take, or an adaptive weight in a phase whose
            last layer does not learn.
    """
    adversarial = settings.objective.adversarial
    with torch.device("meta"):
        build_tokenizer(settings.model).grid((image_size, image_size))
        if adversarial is not None:
            PatchGAN(adversarial.ndf, adversarial.layers, adversarial.norm)(torch.empty(2, 3, image_size, image_size))
    for phase in settings.phases:
        if adversarial is not None and adversarial.adaptive and "decoder" not in phase.train:
            wanted, got = "a decoder that learns", f"phase '{phase.name}' with train {list(phase.train)}"
            raise InputError(expected("objective.adversarial.adaptive", wanted, got, "Set adaptive to false."))
