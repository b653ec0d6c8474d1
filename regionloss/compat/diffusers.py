"""Private names of diffusers: convolutions over time that pad by themselves, once, before the past."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

PLAIN = (nn.Linear, nn.Conv2d, nn.Conv3d)
#: Where such a convolution keeps how it pads; its own `padding` is then none.
PADDING = "_padding"


def plain_kind(layer: nn.Module) -> type[nn.Module] | None:
    """Return what a layer is, but for its padding; None for one that may be anything."""
    if type(layer) in PLAIN:
        return type(layer)
    return next((kind for kind in PLAIN[1:] if isinstance(layer, kind) and hasattr(layer, PADDING)), None)


@contextmanager
def without_padding(layers: Iterable[nn.Module]) -> Iterator[None]:
    """Let layers be plain ones for a while: whoever makes others of their class knows those constructors alone."""
    kinds = [(layer, type(layer)) for layer in layers]
    for layer, _ in kinds:
        layer.__class__ = plain_kind(layer) or type(layer)
    try:
        yield
    finally:
        for layer, kind in kinds:
            layer.__class__ = kind


def pad_like(layer: nn.Module, other: Any) -> None:
    """Let a plain layer pad as another one does; nothing to do where that is plain, too."""
    if type(other) not in PLAIN:
        layer.__class__ = type(other)
        setattr(layer, PADDING, getattr(other, PADDING))
