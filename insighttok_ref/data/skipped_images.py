"""Images that could not be read, told while training goes on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

from regionloss.data.batches import Batch, BatchSource

MOST = 20


@dataclass
class Told:
    """Batches of a source; each image that others stand in for is named once, on standard error.

    Args:
        source: Source of the batches.
        most: After so many names, only how many more there are.
    """

    source: BatchSource
    most: int = MOST
    seen: set[str] = field(default_factory=set)

    def starting_at(self, number: int) -> Iterator[Batch]:
        """Yield the source's batches from one on."""
        for batch in self.source.starting_at(number):
            for sentence in batch.skipped:
                self.tell(sentence)
            yield batch

    def tell(self, sentence: str) -> None:
        """Print a sentence that is new; every power of two says how many there are, once the names are too many."""
        if sentence in self.seen:
            return
        self.seen.add(sentence)
        count = len(self.seen)
        if count <= self.most:
            print(f"skipped: {sentence}", file=sys.stderr)
        elif count & (count - 1) == 0:
            print(f"skipped: {count} images by now; the last one: {sentence}", file=sys.stderr)
