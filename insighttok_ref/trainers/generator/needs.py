"""What the training of a generator needs: states by ZeRO stage, activations and operations, on the meta device."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from insighttok_ref.generator.model import InsightAR
from insighttok_ref.generator.prompts import PromptBatch
from insighttok_ref.tokenizers.insighttok.checkpoints import read_tokenizer
from insighttok_ref.tokens.files import SUFFIX, read_header
from insighttok_ref.trainers.generator.options import GeneratorPhase
from insighttok_ref.trainers.generator.session import compute_again, set_trainable
from insighttok_ref.training.states import STAGES, Player, Size, engine_needs, mixed_precision
from regionloss.autoencoders import StepLedger
from regionloss.data.shards import names_below
from regionloss.errors import InputError
from regionloss.recipe import NeedsTable, PhaseNeeds, TrainingNeeds

if TYPE_CHECKING:
    from insighttok_ref.trainers.generator.trainer import GeneratorTrainer

#: Of the paper's tokenizer at 512 pixels, where no tokens are here to look at: codes, their length, ids of an image.
CODES, CODE_DIM, IDS = 16384, 256, 1024
#: Text tokens before an image: a long caption.
PROMPT = 128
GPUS = (1, 8, 32, 64)
GIB = 2**30


class TokenShape(NamedTuple):
    """What an image is made of: K codes of length d, n ids; and where that is from."""

    codes: int
    code_dim: int
    ids: int
    note: str


def shape_of(trainer: GeneratorTrainer) -> TokenShape:
    """Return the shapes of a trainer's data: of its tokens where they are here, else the paper's."""
    codes, code_dim = CODES, CODE_DIM
    if trainer.data.tokenizer.is_file():
        codes, code_dim = read_tokenizer(trainer.data.tokenizer).model.codebook.shape
    for source in trainer.data.sources.values():
        try:
            folder = source.tokens.rstrip("/")
            header = read_header(f"{folder}/{next(name for name in names_below(folder) if name.endswith(SUFFIX))}")
        except (StopIteration, FileNotFoundError, InputError):
            continue
        return TokenShape(
            header.codes, code_dim, prod(header.grid), f"Tokens as in {folder}: {header.tokens} an image."
        )
    note = f"No tokens are here to look at: assumed are {IDS} an image, as in the paper, of {codes} codes."
    return TokenShape(codes, code_dim, IDS, note)


def model_without_memory(trainer: GeneratorTrainer, shape: TokenShape, phase: GeneratorPhase, again: bool) -> InsightAR:
    """Return the model of a phase on the meta device; `again` computes activations again in backward."""
    with torch.device("meta"):
        codebook = torch.empty(shape.codes, shape.code_dim)
        model = InsightAR.from_preset(trainer.model.preset, codebook, **trainer.model.shape)
    set_trainable(model.train(), phase.train)
    if again:
        compute_again(model)
    return model


def batch_without_memory(shape: TokenShape, size: int, context: int) -> tuple[PromptBatch, torch.Tensor]:
    """Return prompts and ids (B, n) on the meta device, as long as the context lets them be."""
    length = max(min(PROMPT, context - shape.ids), 0) + 1
    prompts = torch.empty(size, length, dtype=torch.int64, device="meta")
    pads = torch.empty(size, dtype=torch.int64, device="meta")
    return PromptBatch(prompts, pads), torch.empty(size, shape.ids, dtype=torch.int64, device="meta")


def step_bytes(model: InsightAR, shape: TokenShape, size: int, bf16: bool) -> dict[str, int]:
    """Return the bytes of a step beside the states, by part, of so many images at a time."""
    with StepLedger(model.parameters(), bf16) as ledger:
        ledger.watch(model.adapter, "adapter")
        ledger.watch(model.language_model.model, "language model")
        ledger.watch(model.head, "head")
        ledger.watch(model, "loss")
        ledger.backward(model.loss(*batch_without_memory(shape, size, model.context)))
    return ledger.by_part()


def operations(model: InsightAR, shape: TokenShape) -> int:
    """Return the operations for one image, forward and backward."""
    with FlopCounterMode(display=False) as counter, StepLedger(model.parameters(), bf16=False) as ledger:
        ledger.backward(model.loss(*batch_without_memory(shape, 1, model.context)))
    return int(counter.get_total_flops())


def needs(trainer: GeneratorTrainer, gpus: int) -> TrainingNeeds:
    """Return what a trainer's phases need on so many GPUs."""
    shape, engine = shape_of(trainer), trainer.engine
    again, bf16 = trainer.model.checkpointing, engine.precision == "bf16"
    counted = [operations(model_without_memory(trainer, shape, one, False), shape) for one in trainer.phases]
    phases = [
        PhaseNeeds(one.name, one.steps, one.batch_size, count)
        for one, count in zip(trainer.phases, counted, strict=True)
    ]
    models = [model_without_memory(trainer, shape, one, again) for one in trainer.phases]
    largest = max(models, key=lambda model: Size.of(model).learning)
    return TrainingNeeds(
        phases,
        engine_needs(engine, trainer.optimizer, [Player(Size.of(largest))], gpus, STAGES[1:]),
        lambda size: step_bytes(largest, shape, size, bf16),
        engine.micro_batch,
        bf16=bf16,
        tables=[stages_table(sum(one.numel() for one in largest.parameters()), gpus)],
        notes=[
            f"{shape.note} Captions of {PROMPT} text tokens, if the context has room.",
            *hidden_costs(models, phases),
        ],
    )


def stages_table(weights: int, gpus: int) -> NeedsTable:
    """Return GiB of weights that all learn in mixed precision, by number of GPUs and stage of ZeRO."""
    rows = [
        [str(count), *(f"{mixed_precision(count, stage, weights) / GIB:.1f}" for stage in STAGES[1:])]
        for count in sorted({*GPUS, gpus})
    ]
    title = (
        f"GiB a GPU of all {weights / 1e9:.3g} billion weights, if all learnt in mixed precision (16 bytes each: "
        "16-bit weight and gradient, float32 copy, Adam's two averages)"
    )
    return NeedsTable(title, ["GPUs", *(f"ZeRO {stage}" for stage in STAGES[1:])], rows)


def hidden_costs(models: list[InsightAR], phases: list[PhaseNeeds]) -> list[str]:
    """Return a sentence for each phase that goes back through a frozen language model."""
    notes = []
    whole = max(phase.operations for phase in phases)
    for model, phase in zip(models, phases, strict=True):
        frozen = not any(one.requires_grad for one in model.language_model.model.parameters())
        if frozen and any(one.requires_grad for one in model.adapter.parameters()):
            size = Size.of(model)
            notes.append(
                f"Hidden cost of '{phase.name}': {size.learning / 1e6:.3g} million weights learn, but the gradient of "
                f"the adapter goes back through the frozen language model, whose activations are kept: "
                f"{phase.operations / 1e12:.3g} TFLOP an image, {phase.operations / whole:.0%} of a step in which all "
                "learns."
            )
    return notes
