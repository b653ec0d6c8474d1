"""A second face of a loss: the same state, a class made from its class, and region terms in its `forward`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Self

import torch
from torch import Tensor, nn

from .call import Wrapping

#: What an adaptive weight is to see besides the host's own loss, during a call with `in_nll=True`.
_SEEN: ContextVar[Tensor | None] = ContextVar("regionloss_seen", default=None)


class WithRegions(nn.Module):
    """What every wrapped loss is, besides an instance of its host's class.

    It shares the host's `__dict__`, so parameters, buffers, submodules and settings are one and the same; what belongs
    to us lies in a slot, where neither `state_dict()` nor `parameters()` looks.
    """

    __slots__ = ("_wrapping",)
    _wrapping: Wrapping

    @property
    def last_logs(self) -> dict[str, Tensor]:
        """The terms' logs of the generator's last turn, 0-d each; empty where no region was published."""
        return self._wrapping.last_logs

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        # The terms follow the host to its device; their precision is their own.
        self._wrapping.terms._apply(lambda tensor: tensor.to(fn(tensor).device))  # type: ignore[no-untyped-call]
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def __reduce_ex__(self, protocol: Any) -> Any:
        own = self._wrapping
        method = adaptive_weight(type(own.host), own.spec.adaptive_weight)
        return blank, (type(own.host), method), (own.host, own.spec, own.terms, own.in_nll)

    def __setstate__(self, state: Any) -> None:
        adopt(self, Wrapping(*state))


def wrapped(wrapping: Wrapping) -> nn.Module:
    """Return the host's second face."""
    kind = type(wrapping.host)
    return adopt(blank(kind, adaptive_weight(kind, wrapping.spec.adaptive_weight)), wrapping)


def adopt(face: WithRegions, wrapping: Wrapping) -> WithRegions:
    """Give a blank face the host's state."""
    object.__setattr__(face, "__dict__", wrapping.host.__dict__)
    object.__setattr__(face, "_wrapping", wrapping)
    return face


def blank(host: type[nn.Module], method: str | None) -> WithRegions:
    """Return a face of the host's class, without any state yet."""
    kind: Any = host
    made: WithRegions = object.__new__(class_for(kind, method))
    return made


def adaptive_weight(host: type[nn.Module], method: str | None) -> str | None:
    """Return the name of the host's method that sets the discriminator's weight, if it has it."""
    return method if method is not None and hasattr(host, method) else None


@functools.cache
def class_for(host: Any, method: str | None) -> Any:
    """Return the class that is made from a host's class."""
    names: dict[str, Any] = {
        "__slots__": (),
        "__module__": host.__module__,
        "__doc__": host.__doc__,
        "forward": with_terms(host.forward),
    }
    if method is not None:
        names[method] = seeing_terms(getattr(host, method))
    return type(host)(f"{host.__name__}WithRegions", (WithRegions, host), names)


def with_terms(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Return a host's `forward` with region terms."""

    def call(self: WithRegions, measure: Callable[..., Tensor | None], args: Any, kwargs: Any) -> Any:
        own = self._wrapping
        total = measure(args, kwargs)
        if total is None:
            return forward(self, *args, **kwargs)
        with seen(total if own.in_nll else None):
            output = forward(self, *args, **kwargs)
        return own.added(output, total)

    @functools.wraps(forward)
    def with_regions(self: WithRegions, *args: Any, **kwargs: Any) -> Any:
        measure = self._wrapping.measure
        if not torch.compiler.is_compiling():
            return call(self, measure, args, kwargs)
        # No batch has as many regions as the last: the terms stay out of the graph.
        outside: Any = torch.compiler.disable(call)  # type: ignore[no-untyped-call]
        return outside(self, measure, args, kwargs)

    return with_regions


def seeing_terms(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a host's method that sets an adaptive weight, with the terms added to its first argument."""
    nll = list(inspect.signature(method).parameters)[1]

    @functools.wraps(method)
    def with_regions(self: WithRegions, *args: Any, **kwargs: Any) -> Any:
        total = _SEEN.get()
        if total is not None and args:
            args = (args[0] + total, *args[1:])
        elif total is not None:
            kwargs[nll] = kwargs[nll] + total
        return method(self, *args, **kwargs)

    return with_regions


@contextmanager
def seen(total: Tensor | None) -> Iterator[None]:
    """Let an adaptive weight see the terms in this block."""
    token = _SEEN.set(total)
    try:
        yield
    finally:
        _SEEN.reset(token)
