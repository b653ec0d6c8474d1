"""What decides how a run trains, apart from its data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from insighttok_ref.objective.objective import ObjectiveOptions
from insighttok_ref.trainers.tokenizer.options import EngineOptions, LogOptions, Phase
from insighttok_ref.training.engines import OptimizerOptions


@dataclass(frozen=True)
class Settings:
    """What decides how a run trains, apart from its data.

    Args:
        model: Options of `InsightTokenizer`.
        phases: Phases in order.
        objective: Losses besides region terms.
        optimizer: Constants of Adam, and the largest norm of gradients.
        engine: Device, precision and library that the run computes with.
        log: How often records and checkpoints are written.
        start_from: A tokenizer file to start from; None for new weights.
        weight_average: Decay of a moving average of the weights; 0 keeps none.
    """

    model: Mapping[str, Any]
    phases: Sequence[Phase]
    objective: ObjectiveOptions = field(default_factory=ObjectiveOptions)
    optimizer: OptimizerOptions = field(default_factory=OptimizerOptions)
    engine: EngineOptions = field(default_factory=EngineOptions)
    log: LogOptions = field(default_factory=LogOptions)
    start_from: Path | None = None
    weight_average: float = 0.0
