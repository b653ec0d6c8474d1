"""Publishing a batch's regions while a Lightning module (or anything with such methods) works on it."""

from __future__ import annotations

import copyreg
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from ..errors import InputError, did_you_mean, expected
from .batch import BatchRegions, use_regions

M = TypeVar("M")
Key = str | int | Callable[[Any], BatchRegions]

STEPS = ("training_step", "validation_step")


def bind_batch(model: M, key: Key = "regions", methods: Sequence[str] = STEPS) -> M:
    """Let each step of a model publish its batch's regions to the losses that `wrap` returned.

    Args:
        model: A Lightning module, or any object with such methods; it is changed in place, its class is not.
        key: Where a batch holds its regions: a key, a position, an attribute, or a function of the batch.
        methods: Methods that take a batch first; those that the model lacks are passed over. A batch without the key
            is a mistake in the first of them; in the others (validation, mostly) it has no regions.

    Returns:
        The model.

    Raises:
        InputError: A model with none of the methods; and, in the first of them, a batch without the key.

    Example:
        >>> import regionloss as rl
        >>> class Model:
        ...     def training_step(self, batch, batch_idx):
        ...         return len(batch)
        >>> rl.bind_batch(Model(), key="regions").training_step({"image": None, "regions": None}, 0)
        2
    """
    names = (methods,) if isinstance(methods, str) else tuple(methods)
    base: Any = getattr(type(model), "_bound_base", type(model))
    present = tuple(name for name in names if callable(getattr(base, name, None)))
    if not present:
        got = f"a {base.__name__} without them"
        advice = "Name its steps in methods=(...), or use `with regionloss.use_regions(...)`."
        raise InputError(expected("bind_batch", f"a model with {' or '.join(names)}", got, advice))
    replaced = [name for name in present if name in getattr(model, "__dict__", {})]
    if replaced:
        advice = "Bind the model first; compile or patch it afterwards."
        raise InputError(expected("bind_batch", "the model's own steps", f"{replaced[0]} replaced on it", advice))
    model.__class__ = class_for(base, present)
    object.__setattr__(model, "_regions_key", key)
    return model


class Bound:
    """What a bound model is, besides an instance of its own class."""

    _regions_key: Key = "regions"
    _bound_base: type
    _bound_methods: tuple[str, ...]

    def __reduce_ex__(self, protocol: Any) -> Any:
        reduced: Any = super().__reduce_ex__(protocol)
        make, args, *rest = reduced
        if make is not copyreg.__newobj__:  # type: ignore[attr-defined]
            return make, args, *rest
        return blank, (self._bound_base, self._bound_methods, *args[1:]), *rest


def blank(base: type, methods: tuple[str, ...], *args: Any) -> Any:
    """Return a bound model without any state yet."""
    kind = class_for(base, methods)
    return kind.__new__(kind, *args)


@functools.cache
def class_for(base: Any, methods: tuple[str, ...]) -> Any:
    """Return the class that is made from a model's class."""
    names: dict[str, Any] = {name: publishing(getattr(base, name), strict=name == methods[0]) for name in methods}
    names |= {"__module__": base.__module__, "__doc__": base.__doc__, "_bound_base": base, "_bound_methods": methods}
    return type(base)(base.__name__, (Bound, base), names)


def publishing(step: Callable[..., Any], strict: bool) -> Callable[..., Any]:
    """Return a step that publishes the regions of its first argument; `strict` where there must be some."""
    first = list(inspect.signature(step).parameters)[1]

    @functools.wraps(step)
    def with_regions(self: Bound, *args: Any, **kwargs: Any) -> Any:
        batch = args[0] if args else kwargs.get(first)
        with use_regions(regions_of(batch, self._regions_key, strict)):
            return step(self, *args, **kwargs)

    return with_regions


def regions_of(batch: Any, key: Key, strict: bool) -> BatchRegions:
    """Return the regions that a batch holds; None, or for `strict` an InputError, where they are not."""
    if callable(key):
        return key(batch)
    try:
        if isinstance(batch, Mapping) or isinstance(key, int):
            return batch[key]  # type: ignore[no-any-return]
        return getattr(batch, key)  # type: ignore[no-any-return]
    except (KeyError, IndexError, TypeError, AttributeError):
        if not strict:
            return None
        got = type(batch).__name__
        advice = "Say where: key='name', a position, or a function of the batch."
        if isinstance(batch, Mapping):
            got, advice = "none", f"{did_you_mean(str(key), map(str, batch))} {advice}"
        elif isinstance(batch, tuple | list):
            got = f"a {got} of {len(batch)}"
        raise InputError(expected("bind_batch", f"regions at {key!r} of the batch", got, advice)) from None
