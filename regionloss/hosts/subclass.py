"""A second face of a loss: the same state, a class made from its class, and region terms in its `forward`."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Self

import torch
from torch import Tensor, nn

from regionloss.compat.torch import outside_graph
from regionloss.hosts.call import Wrapping
from regionloss.hosts.methods import first_argument, like
from regionloss.hosts.published import published
from regionloss.regions.regions import Regions

#: Calls under way, each with what its host's adaptive weight is to see besides the host's own loss.
_CALLS: ContextVar[Mapping[Wrapping, Tensor | None]] = ContextVar("regionloss_calls", default=MappingProxyType({}))
EAGER = "a wrapped loss runs outside the graph, as no batch has as many regions as the last"


class WithRegions(nn.Module):
    """What every wrapped loss is, besides an instance of its host's class.

    It shares the host's `__dict__`, so parameters, buffers, submodules and settings are one and the same; what belongs
    to us lies in a slot, where neither `state_dict()` nor `parameters()` looks. An instance that the host's own code
    makes, `type(self)()`, has nothing there and is the host.
    """

    __slots__ = ("_wrapping",)
    _wrapping: Wrapping
    _host_class: type[nn.Module]
    _sees_terms: str | None

    @property
    def last_logs(self) -> dict[str, Tensor]:
        """The terms' logs of the generator's last turn, 0-d each; empty where no region was published."""
        own = wrapping_of(self)
        return {} if own is None else own.last_logs

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        if (own := wrapping_of(self)) is not None:
            # The terms follow the host to its device; their precision is their own.
            own.terms._apply(lambda tensor: tensor.to(fn(tensor).device))  # type: ignore[no-untyped-call]
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def _replicate_for_data_parallel(self) -> Any:
        if wrapping_of(self) is not None and isinstance(published(), Mapping | Regions):
            advice = "Use DistributedDataParallel, or call the loss outside of DataParallel."
            name = self._host_class.__name__
            warnings.warn(f"{name}: region terms do not reach DataParallel's replicas. {advice}", stacklevel=2)
        return super()._replicate_for_data_parallel()  # type: ignore[no-untyped-call]

    def __reduce_ex__(self, protocol: Any) -> Any:
        own = wrapping_of(self)
        state = self.__dict__ if own is None else (own.host, own.spec, own.terms, own.in_nll)
        return blank, (self._host_class, self._sees_terms), state

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple):
            adopt(self, Wrapping(*state))
        else:
            super().__setstate__(state)  # type: ignore[no-untyped-call]


def wrapping_of(face: WithRegions) -> Wrapping | None:
    """Return what a face knows; None for one that `wrap` did not make: a replica, or what the host's code made."""
    try:
        own: Wrapping = object.__getattribute__(face, "_wrapping")
    except AttributeError:
        return None
    return own


def wrapped(wrapping: Wrapping) -> nn.Module:
    """Return the host's second face."""
    return adopt(blank(type(wrapping.host), wrapping.spec.adaptive_weight if wrapping.in_nll else None), wrapping)


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


@functools.cache
def class_for(host: Any, method: str | None) -> Any:
    """Return the class that is made from a host's class."""
    names: dict[str, Any] = {
        "__slots__": (),
        "__module__": host.__module__,
        "__doc__": host.__doc__,
        "_host_class": host,
        "_sees_terms": method,
        "forward": with_terms(host.forward),
    }
    if method is not None:
        names[method] = seeing_terms(getattr(host, method), str(first_argument(host, method)))
    return type(host)(f"{host.__name__}WithRegions", (WithRegions, host), names)


def with_terms(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Return a host's `forward` with region terms."""

    def call(self: WithRegions, args: Any, kwargs: Any) -> Any:
        own = wrapping_of(self)
        if own is None or own in _CALLS.get():  # a host that calls itself takes the terms once
            return forward(self, *args, **kwargs)
        total = own.measure(args, kwargs)
        with under_way(own, total if own.in_nll else None):
            output = forward(self, *args, **kwargs)
        return output if total is None else own.added(output, total)

    outside = outside_graph(call, EAGER)

    def with_regions(self: WithRegions, *args: Any, **kwargs: Any) -> Any:
        return outside(self, args, kwargs) if torch.compiler.is_compiling() else call(self, args, kwargs)

    return like(forward, with_regions)


def seeing_terms(method: Callable[..., Any], nll: str) -> Callable[..., Any]:
    """Return a host's method that sets an adaptive weight, with the terms added to its first argument, `nll`."""

    def with_regions(self: WithRegions, *args: Any, **kwargs: Any) -> Any:
        own = wrapping_of(self)
        total = None if own is None else _CALLS.get().get(own)
        if total is not None and args:
            args = (args[0] + total, *args[1:])
        elif total is not None:
            kwargs[nll] = kwargs[nll] + total
        return method(self, *args, **kwargs)

    return like(method, with_regions)


@contextmanager
def under_way(own: Wrapping, total: Tensor | None) -> Iterator[None]:
    """Let a call of a wrapped loss know of itself in this block, and its adaptive weight of the terms."""
    token = _CALLS.set({**_CALLS.get(), own: total})
    try:
        yield
    finally:
        _CALLS.reset(token)
