"""An endless order of samples -> one process's micro-batches, made by workers, in order, from any number on."""

from __future__ import annotations

import io
import pickle
import signal
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import torch
from torch import Tensor

from regionloss.data.batches.batch import Batch, Samples, batch_at
from regionloss.errors import InputError, PluginError, RegionLossError, expected


@dataclass(frozen=True)
class Share:
    """Which positions of an endless order are this process's micro-batches.

    Step s of all processes together takes the positions from s * batch_size on; each process takes a contiguous part
    of them and cuts it into micro-batches. Two processes together see what one sees, and a micro-batch of two is a
    micro-batch of one.

    Args:
        batch_size: Images of a step, all processes together.
        micro_batch: Images at once in a process; None takes a process's whole part of the batch.
        rank: Number of this process.
        size: Number of processes.

    Raises:
        InputError: A batch that cannot be cut so.
    """

    batch_size: int
    micro_batch: int | None = None
    rank: int = 0
    size: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.size:
            raise InputError(expected("rank", f"0 to {self.size - 1}", str(self.rank)))
        whole = self.size * (self.micro_batch or 1)
        if self.batch_size < 1 or self.micro_batch == 0 or self.batch_size % whole:
            wanted = f"a multiple of {self.size} processes x {self.micro_batch or 1} images at once"
            raise InputError(expected("batch_size", wanted, str(self.batch_size)))

    @property
    def images(self) -> int:
        """Images of a micro-batch."""
        return self.batch_size // self.size if self.micro_batch is None else self.micro_batch

    @property
    def accumulation(self) -> int:
        """Micro-batches of this process in a step."""
        return self.batch_size // (self.size * self.images)

    def first(self, number: int) -> int:
        """Return the first position of one of this process's micro-batches."""
        step, part = divmod(number, self.accumulation)
        return step * self.batch_size + (self.rank * self.accumulation + part) * self.images


class BatchLoader:
    """This process's micro-batches of an endless order, prefetched by worker processes and delivered in order.

    Nothing depends on the number of workers. To go on after a stop, ask for the batches from a number on, or keep
    `state_dict()` (the number of batches taken so far) and load it.

    Args:
        data: Samples in their order.
        share: The part of each batch that this process loads.
        workers: Worker processes; 0 makes batches in this one.
        prefetch: Batches that each worker makes ahead.
        start: How workers are started: `fork`, `spawn` or `forkserver`; None is the platform's way.

    Example:
        >>> from regionloss.data.batches.batch import Blend
        >>> loader = BatchLoader(Blend({source: 1.0}, seed=0), Share(batch_size=8))  # doctest: +SKIP
        >>> batch = next(loader.starting_at(100))                                    # doctest: +SKIP
    """

    def __init__(
        self, data: Samples, share: Share, *, workers: int = 0, prefetch: int = 2, start: str | None = None
    ) -> None:
        if workers < 0 or prefetch < 1:
            raise InputError(expected("loader", "workers from 0, prefetch from 1", f"{workers} and {prefetch}"))
        self.data, self.share = data, share
        self.workers, self.prefetch, self.start = workers, prefetch, start
        self.taken = 0

    def batch(self, number: int) -> Batch:
        """Return one of this process's micro-batches, made here and now."""
        return batch_at(self.data, self.share.first(number), self.share.images)

    def starting_at(self, number: int) -> Iterator[Batch]:
        """Yield this process's micro-batches from one on, without end.

        Raises:
            RegionLossError: What a worker met (the same sentence), or that one has died.
        """
        if not self.workers:
            yield from map(self.batch, count(number))
        for made in self._made_by_workers(number):
            if isinstance(made, Exception):
                raise made
            pixels, rest = made
            yield replace(pickle.loads(rest), pixels=pixels)

    def __iter__(self) -> Iterator[Batch]:
        for batch in self.starting_at(self.taken):
            self.taken += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Return where iteration stands: batches that were delivered, not those that workers have ready."""
        return {"taken": self.taken}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Let the next iteration go on from a state."""
        self.taken = state["taken"]

    def _made_by_workers(self, number: int) -> Iterator[Any]:
        try:
            from torchdata.stateful_dataloader import StatefulDataLoader
        except ImportError as error:
            advice = "Install it: pip install 'regionloss[data]'. Or take no workers: workers=0."
            raise PluginError(expected("loader", "torchdata, for workers", str(error), advice)) from error

        with warnings.catch_warnings():
            # torchdata 0.11 still calls what torch 2.15 calls deprecated.
            warnings.filterwarnings("ignore", "'set_vital' is deprecated", UserWarning)
            loader = StatefulDataLoader(
                MicroBatches(self.data, self.share),
                batch_size=None,
                # Positions are the state: an order that is a pure function resumes exactly, also after an epoch.
                sampler=range(number, ENDLESS),
                num_workers=self.workers,
                prefetch_factor=self.prefetch,
                multiprocessing_context=self.start,
                worker_init_fn=leave_signals_to_the_parent,
                generator=torch.Generator(),  # it draws a number, which must not be one of the training's
                snapshot_every_n_steps=ENDLESS,
            )
        try:
            try:
                yield from loader
            except (EOFError, ConnectionError):
                time.sleep(
                    PATIENCE
                )  # What a dead worker was sending is cut off; the signal that names it is on its way.
                raise
        except (RuntimeError, EOFError, ConnectionError) as error:
            if isinstance(error, RuntimeError) and not str(error).startswith("DataLoader worker"):
                raise
            advice = "Give it more (shared) memory, or take fewer workers or less prefetch."
            raise RegionLossError(
                expected("loader", "all workers to live", str(error).rstrip(".") or "one cut off", advice)
            ) from error


ENDLESS = 2**62
#: Seconds until a worker's death is known.
PATIENCE = 5.0


def leave_signals_to_the_parent(worker: int) -> None:
    """Let Ctrl-C and SIGTERM, which reach the whole process group, end the training alone: it ends its workers."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


@dataclass
class MicroBatches:
    """What a worker holds: micro-batches by number, and sentences instead of errors that lose theirs on the way."""

    data: Samples
    share: Share

    def __len__(self) -> int:
        return ENDLESS

    def __getitem__(self, number: int) -> tuple[Tensor, bytes] | Exception:
        try:
            batch = batch_at(self.data, self.share.first(number), self.share.images)
        except RegionLossError as error:
            return error
        rest = io.BytesIO()
        ByValue(rest).dump(replace(batch, pixels=torch.empty(0)))
        return batch.pixels, rest.getvalue()


class ByValue(pickle.Pickler):
    """Copies tensors: many small ones travel sooner so than through shared memory, where only the images go."""

    def reducer_override(self, given: Any) -> Any:
        """Return how a tensor is rebuilt: from its bytes; other objects as pickle does it."""
        return (torch.from_numpy, (given.numpy(),)) if isinstance(given, Tensor) else NotImplemented
