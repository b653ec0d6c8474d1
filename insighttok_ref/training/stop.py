"""Ways in which a run ends early, each a sentence that says how to go on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Mapping
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


class FiniteWatch:
    """Remembers the first step at which each value was not finite, without making the host wait for a device.

    Args:
        device: Where the values are; on a CPU looking costs nothing, and each note is checked at once.
        advice: Called for the end of the sentence: what is good, and what to try.
    """

    def __init__(self, device: torch.device, advice: Callable[[], str]) -> None:
        self.device, self.advice = device, advice
        self._first_bad: dict[tuple[str, ...], Tensor] = {}

    @torch.no_grad()
    def note(self, values: Mapping[str, Tensor], step: int) -> None:
        """Look at 0-d values of a step; nothing is read back from an accelerator.

        Raises:
            TrainingError: On a CPU: one is not finite.
        """
        if values:
            names, good = tuple(values), torch.stack(list(values.values())).isfinite()
            before = self._first_bad.get(names)
            if before is None:
                before = torch.full_like(good, -1, dtype=torch.int64)
            self._first_bad[names] = torch.where(good | (before >= 0), before, step)
        if self.device.type == "cpu":
            self.check()

    def check(self) -> None:
        """Read what was noted, once.

        Raises:
            TrainingError: A value was not finite; the sentence names the first one, its step, and what is good.
        """
        if not self._first_bad:
            return
        names = [name for together in self._first_bad for name in together]
        bad = [
            (step, name == "total", name)
            for name, step in zip(names, torch.cat(list(self._first_bad.values())).tolist(), strict=True)
            if step >= 0
        ]
        if bad:
            # The parts come before their total, and the losses before the gradients.
            step, _, name = min(bad, key=lambda found: found[:2])
            raise TrainingError(f"step {step}: expected a finite '{name}', got NaN or Inf. {self.advice()}")
