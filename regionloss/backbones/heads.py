"""What some networks say of a crop beside their levels: who it shows, what it reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor, nn


@runtime_checkable
class Embedder(Protocol):
    """A backbone whose network describes a whole crop by one vector."""

    def embedding(self, network: nn.Module, levels: Sequence[Tensor]) -> Tensor:
        """Return vectors (R, C) of R crops.

        Args:
            network: The network, as `levels` got it.
            levels: All levels of the crops, as `levels` returned them.
        """
        ...


@runtime_checkable
class Reader(Protocol):
    """A backbone whose network reads: a score for each character at each position, and for CTC's blank.

    Args:
        alphabet: Characters of the classes from 1 on; class 0 is the blank.
    """

    alphabet: str

    def logits(self, network: nn.Module, levels: Sequence[Tensor]) -> Tensor:
        """Return scores (R, 1 + len(alphabet), positions) of R crops, before a softmax; arguments as for an embedding.

        Args:
            network: The network, as `levels` got it.
            levels: All levels of the crops, as `levels` returned them.
        """
        ...


#: What a distance may compare beside levels: the method that gives it, and who has it.
HEADS: dict[str, type] = {"embedding": Embedder, "logits": Reader}
