"""Milliseconds of what is computed, without waiting for an accelerator."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class Stopwatch:
    """Times blocks by name: on CPUs by the clock; on CUDA by events, read when the device has passed them.

    There a time is that of an earlier block of the same name, and none is known before the first has ended.
    """

    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}
        self._under_way: dict[str, tuple[torch.cuda.Event, torch.cuda.Event]] = {}

    @contextmanager
    def timing(self, name: str, device: torch.device) -> Iterator[None]:
        """Time what is computed on a device in this block."""
        if device.type != "cuda":
            began = time.perf_counter()
            yield
            self.milliseconds[name] = 1000 * (time.perf_counter() - began)
            return
        pair = self._under_way.get(name)
        if pair is not None and pair[1].query():
            self.milliseconds[name] = pair[0].elapsed_time(pair[1])
            pair = None
        first, last = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        first.record()
        yield
        last.record()
        self._under_way[name] = pair or (first, last)
