"""Micro-batches as a node of `torchdata.nodes`, for pipelines that are put together there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torchdata.nodes import BaseNode

from regionloss.data.batches.batch import Batch
from regionloss.data.batches.loader import BatchLoader


class BatchNode(BaseNode[Batch]):  # type: ignore[misc]
    """A `BatchLoader` as a node: sources, shares, ranks and workers are the loader's, what comes after is torchdata's.

    Its state is the number of batches that were taken, so that a pipeline of it goes on exactly where it was stopped,
    with another number of workers too.

    Args:
        loader: Loader of this process's micro-batches.

    Example:
        >>> from torchdata.nodes import Loader, Prefetcher
        >>> pipeline = Loader(Prefetcher(BatchNode(loader), prefetch_factor=2))  # doctest: +SKIP
        >>> state = pipeline.state_dict()                                        # doctest: +SKIP
    """

    def __init__(self, loader: BatchLoader) -> None:
        super().__init__()
        self.loader, self._start = loader, loader.state_dict()
        self._batches: Iterator[Batch] = iter(())

    def reset(self, initial_state: dict[str, Any] | None = None) -> None:
        """Start again from a state, or from where the loader stood when the node was made."""
        super().reset(initial_state)
        self.loader.load_state_dict(self._start if initial_state is None else initial_state)
        self._batches = iter(self.loader)

    def next(self) -> Batch:
        """Return the next micro-batch; there is no last one."""
        return next(self._batches)

    def get_state(self) -> dict[str, Any]:
        """Return where the loader stands."""
        return dict(self.loader.state_dict())
