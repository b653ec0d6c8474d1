"""Orders side by side, so that a process of many reads the shards of its own ones alone."""

from __future__ import annotations

from collections.abc import Sequence

from regionloss.data.batches.batch import Remote, Sample, Samples
from regionloss.errors import InputError, expected


class Stripes:
    """Orders of which each gives its part of every batch: the first order the first part, and so on.

    A process takes a contiguous part of each batch (`Share`). Of as many orders as there are processes, or of a
    multiple, it draws from its own alone. Batches are the same on any number of processes.

    Args:
        orders: Orders, whose seed and filters are those of the first one.
        batch_size: Images of a step, all processes together.

    Raises:
        InputError: A batch that cannot be cut so.
    """

    def __init__(self, orders: Sequence[Samples], batch_size: int) -> None:
        if batch_size % len(orders):
            raise InputError(expected("batch_size", f"a multiple of {len(orders)} stripes", str(batch_size)))
        self.orders, self.batch_size = list(orders), batch_size
        self.seed, self.filters = orders[0].seed, orders[0].filters

    def place(self, position: int) -> tuple[int, int]:
        """Return the order of a position, and the position in it."""
        step, place = divmod(position, self.batch_size)
        part = self.batch_size // len(self.orders)
        return place // part, step * part + place % part

    def at(self, position: int) -> Sample:
        """Return the sample at a position."""
        order, own = self.place(position)
        return self.orders[order].at(own)

    def read_ahead(self, positions: Sequence[int]) -> None:
        """Let orders fetch what the samples at some positions need."""
        places = [self.place(position) for position in positions]
        for number, order in enumerate(self.orders):
            if isinstance(order, Remote) and (own := [place for which, place in places if which == number]):
                order.read_ahead(own)
