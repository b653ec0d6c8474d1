"""What a recipe asks for that cannot work, said before data are looked through and before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from insighttok_ref.data.options import SourceOptions
from insighttok_ref.objective.adversarial import build_discriminator
from insighttok_ref.tokenizers.build import build_tokenizer
from insighttok_ref.trainers.tokenizer.options import EvaluationOptions, Phase
from insighttok_ref.trainers.tokenizer.plan import Part, Stretch
from regionloss.data.batches import Share
from regionloss.errors import InputError, expected

if TYPE_CHECKING:
    from insighttok_ref.trainers.tokenizer.trainer import InsightTok
    from regionloss.runs import Ranks


def share_of(part: Part[Stretch], micro_batch: int | None, rank: int, size: int) -> Share:
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


#: So many weights that learn, and a CPU is no place to train them.
MANY = 50_000_000


def slowness(model: nn.Module, device: torch.device) -> str:
    """Return a sentence where a CPU would take hours for a step; empty elsewhere."""
    learning = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    if device.type != "cpu" or learning < MANY:
        return ""
    told = f"{learning / 1e6:.0f}M weights learn on a CPU, where a step may take hours."
    return f"{told} 'regionloss plan' says which GPU serves; trainer.options.engine.device chooses it."


def check_tested(sources: Mapping[str, SourceOptions], phases: Sequence[Phase], evaluation: EvaluationOptions) -> None:
    """See that images of the test are not trained on, and that judges have some.

    Raises:
        InputError: A phase trains on a source of which nothing can be held out, or judges have no images.
    """
    for number, phase in enumerate(phases):
        for name in (name for name, share in phase.data.items() if share and sources[name].test):
            if sources[name].all_is_test:
                where, wanted = f"phases[{number}].data.{name}", "no share of a source that is for the test alone"
                raise InputError(expected(where, wanted, f"{phase.data[name]:g}"))
    if evaluation.judges and not any(source.test for source in sources.values()):
        advice = "Say how many images a source keeps for the test: data.sources.NAME.test."
        raise InputError(expected("evaluation.judges", "images to judge", "no source with a test", advice))


def check_alone(sources: Mapping[str, SourceOptions], ranks: Ranks) -> None:
    """Raise InputError where several processes would look for the regions of one folder."""
    for name, source in sources.items():
        if source.annotate and ranks.size > 1:
            advice = "Run 'regionloss annotate' before, and name its folder as 'regions'."
            raise InputError(expected(f"data.sources.{name}.annotate", "one process", f"{ranks.size}", advice))


def check_fit(trainer: InsightTok) -> None:
    """See that model, discriminator and phases fit one another.

    Raises:
        InputError: Images that the tokenizer or the discriminator cannot take, or an adaptive weight in a phase whose
            last layer does not learn.
    """
    adversarial = trainer.objective.adversarial
    with torch.device("meta"):
        model = build_tokenizer(trainer.model)
        discriminator = None if adversarial is None else build_discriminator(adversarial)
        for number, size in enumerate(trainer.image_sizes):
            own = trainer.phases[number].image_size
            try:
                model.grid((size, size))
                if discriminator is not None:
                    discriminator(torch.empty(2, 3, size, size))
            except InputError as error:
                key = f"phases[{number}].image_size" if own else "data.image_size"
                raise InputError(f"{key}: {error}") from error
    for phase in trainer.phases:
        if adversarial is not None and adversarial.adaptive and "decoder" not in phase.train:
            wanted, got = "a decoder that learns", f"phase '{phase.name}' with train {list(phase.train)}"
            raise InputError(expected("objective.adversarial.adaptive", wanted, got, "Set adaptive to false."))
