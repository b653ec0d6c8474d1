"""Publishing a batch's regions while a Lightning module (or anything with such methods) works on it."""

from __future__ import annotations

import copyreg
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from regionloss.errors import InputError, did_you_mean, expected
from regionloss.hosts.methods import first_argument, item_of, like
from regionloss.hosts.published import NOTHING, BatchRegions, NothingPublished, publishing, use_regions

M = TypeVar("M")
Key = str | int | Callable[[Any], BatchRegions]

STEPS = ("training_step", "validation_step")


def bind_batch(model: M, key: Key = "regions", methods: Sequence[str] = STEPS) -> M:
    """Let each step of a model publish its batch's regions to the losses that `wrap` returned.

    Args:
        model: A Lightning module, or any object with such methods; it is changed in place, its class is not.
        key: Place of the regions in a batch: a key, a position, an attribute, or a function of the batch.
        methods: Methods that take a batch first; those that the model lacks are passed over. A batch without the key
            is a mistake in the first of them; in the others (validation, mostly) nothing is published then.

    Returns:
        The model.

    Raises:
        InputError: A model with none of the methods, or one of them takes no batch; and, in the first of them, a batch
            without the key.

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
    for name in present:
        if first_argument(base, name) is None:
            advice = "Publish there by hand: `with regionloss.use_regions(...)`."
            got = "one without it, or a static or class method"
            raise InputError(expected(f"{base.__name__}.{name}", "a method (self, batch, ...)", got, advice))
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
    names: dict[str, Any] = {name: with_batch(base, name, strict=name == methods[0]) for name in methods}
    names |= {"__module__": base.__module__, "__doc__": base.__doc__, "_bound_base": base, "_bound_methods": methods}
    return type(base)(base.__name__, (Bound, base), names)


def with_batch(base: Any, name: str, strict: bool) -> Callable[..., Any]:
    """Return a step that publishes the regions of its first argument; `strict` where there must be some."""
    step, first = getattr(base, name), first_argument(base, name)

    def with_regions(self: Bound, *args: Any, **kwargs: Any) -> Any:
        batch = args[0] if args else kwargs.get(str(first))
        regions = regions_of(batch, self._regions_key, strict)
        with publishing(regions) if isinstance(regions, NothingPublished) else use_regions(regions):
            return step(self, *args, **kwargs)

    # Lightning asks a step's __wrapped__ whether it is the model's own; accelerate would put it in forward's place.
    return like(step, with_regions) if name == "forward" else functools.wraps(step)(with_regions)


def regions_of(batch: Any, key: Key, strict: bool) -> BatchRegions | NothingPublished:
    """Return the regions that a batch holds; where they are not, NOTHING, or for `strict` an InputError."""
    if callable(key):
        return key(batch)
    try:
        return item_of(batch, key)  # type: ignore[no-any-return]
    except LookupError:
        if not strict:
            return NOTHING
        got = type(batch).__name__
        advice = "Say where: key='name', a position, or a function of the batch."
        if isinstance(batch, Mapping):
            got, advice = "none", f"{did_you_mean(str(key), map(str, batch))} {advice}"
        elif isinstance(batch, tuple | list):
            got = f"a {got} of {len(batch)}"
        raise InputError(expected("bind_batch", f"regions at {key!r} of the batch", got, advice)) from None
