"""Batches on the device one ahead of the step that reads them, copied while the device computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

from regionloss.data.batches import Batch

T = TypeVar("T")
S = TypeVar("S")


def on_device(batches: Iterator[Batch], device: torch.device) -> Iterator[Batch]:
    """Return batches for a device: copied one ahead to one of CUDA, elsewhere as they come.

    Args:
        batches: Batches in the host's memory.
        device: Where they are read.
    """
    if device.type != "cuda":
        return batches
    stream = torch.cuda.Stream(device)

    def begin(batch: Batch) -> tuple[Batch, torch.cuda.Event]:
        # What earlier batches have left free is written again only when the steps that read them are done.
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            return batch.pin_memory().to(device, non_blocking=True), stream.record_event()

    def ready(copied: tuple[Batch, torch.cuda.Event]) -> Batch:
        torch.cuda.current_stream(device).wait_event(copied[1])
        return copied[0]

    return one_ahead(batches, begin, ready)


def one_ahead(given: Iterator[T], begin: Callable[[T], S], ready: Callable[[S], T]) -> Iterator[T]:
    """Yield what `ready` makes of `begin` of each, in order; the next one is begun before one is yielded.

    Args:
        given: What is begun.
        begin: Starts to make one, without waiting for it.
        ready: Waits for one.
    """
    begun: list[S] = []
    for one in given:
        begun.append(begin(one))
        if len(begun) > 1:
            yield ready(begun.pop(0))
    yield from map(ready, begun)
