"""Private parts of transformers: how a language model draws its first weights, module after module."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from torch import nn
from transformers import PreTrainedModel

#: Brings weights together for a moment, in which they are changed.
Together = Callable[[Iterable[nn.Parameter]], AbstractContextManager[None]]


@contextmanager
def drawn_within(together: Together) -> Iterator[None]:
    """Draw the first weights of each module of a language model within a context of its weights.

    The draws of a model, and their order, are those without it.
    """
    draw: Any = PreTrainedModel._init_weights

    def drawn(self: PreTrainedModel, module: nn.Module) -> None:
        with together(module.parameters(recurse=False)):
            draw(self, module)

    PreTrainedModel._init_weights = drawn  # type: ignore[method-assign]
    try:
        yield
    finally:
        PreTrainedModel._init_weights = draw  # type: ignore[method-assign]
