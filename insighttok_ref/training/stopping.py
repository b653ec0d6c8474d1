"""Ways in which a run ends early, each a sentence that says how to go on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Mapping
from types import FrameType, TracebackType
from typing import Any

import torch
from torch import Tensor

from regionloss.errors import RegionLossError


class TrainingError(RegionLossError, RuntimeError):
    """Training cannot go on."""


class StoppedError(RegionLossError, RuntimeError):
    """Training was interrupted; its state is saved."""


class StopSignals:
    """While entered, Ctrl-C and SIGTERM ask the loop to end after its step; a second one ends it at once."""

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        # Python delivers signals to the main thread alone; elsewhere whoever started the run stops it.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._request)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._restore()

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}


def check_finite(values: Mapping[str, Tensor | float], where: str, advice: str) -> None:
    """Raise TrainingError where a value, 0-d, is NaN or infinite. Reads the values from the device."""
    for name, value in values.items():
        number = torch.as_tensor(value)
        if not bool(number.isfinite()):
            raise TrainingError(f"{where}: expected a finite '{name}', got {number.item()}. {advice}")
