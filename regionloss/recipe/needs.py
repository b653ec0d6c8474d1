"""What a trainer says that it needs, for `regionloss plan`: bytes by part, operations, and how a recipe asks for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from regionloss.recipe.load import Loaded
from regionloss.recipe.schema import Recipe

#: Bytes by what they are for.
Bytes = Mapping[str, int]


@dataclass(frozen=True)
class PhaseNeeds:
    """How much one phase computes.

    Args:
        name: Name of the phase.
        steps: Number of optimizer steps.
        batch_size: Images a step, over all processes.
        operations: Additions and multiplications for one image, forward and backward; what activation checkpointing
            computes again is left out.
    """

    name: str
    steps: int
    batch_size: int
    operations: float


@dataclass(frozen=True)
class EngineNeeds:
    """What one way of keeping weights, gradients and optimizer takes on one device, whatever the micro-batch.

    Args:
        name: What it is called in tables, such as `ZeRO 2`.
        states: Bytes by part.
        overrides: What a recipe says to have it, `key.path=value` each.
        config: Function from micro-batch and accumulation to DeepSpeed's configuration; None without DeepSpeed.
    """

    name: str
    states: Bytes
    overrides: tuple[str, ...] = ()
    config: Callable[[int, int], Mapping[str, Any]] | None = None


@dataclass(frozen=True)
class NeedsTable:
    """A further table that a trainer wants shown.

    Args:
        title: What stands above it.
        columns: Heads of the columns.
        rows: Rows, a text for each head.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class TrainingNeeds:
    """What a recipe's training needs.

    Args:
        phases: Phases in order.
        engines: Ways of keeping the states, the recipe's own first.
        step: Function from a micro-batch to the bytes that its step takes beside the states, by part, in the phase that
            takes most.
        micro_batch: What the recipe says; None for a process's whole share of the batch.
        micro_batch_key: The key that says it in a recipe.
        bf16: Whether it computes in 16 bits.
        tables: Tables of the trainer's own.
        notes: Sentences on what is assumed, left out, or hidden.
    """

    phases: Sequence[PhaseNeeds]
    engines: Sequence[EngineNeeds]
    step: Callable[[int], Bytes]
    micro_batch: int | None = None
    micro_batch_key: str = "trainer.options.engine.micro_batch"
    bf16: bool = False
    tables: Sequence[NeedsTable] = ()
    notes: Sequence[str] = field(default=())


class Plannable(Protocol):
    """A trainer that says what it needs: all that `regionloss plan` asks of one."""

    def needs(self, loaded: Loaded[Recipe], gpus: int) -> TrainingNeeds:
        """Return what training on so many devices needs; nothing is computed, and no data are looked at.

        Args:
            loaded: The recipe that it was built from.
            gpus: Number of processes, a device each.
        """
