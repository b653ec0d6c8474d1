"""Values that were computed without a gradient from what has one: known again where they are added to a loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor

ADDITIONS = frozenset(("add", "add_", "__add__", "__radd__", "__iadd__", "stack", "cat"))


class Untrained(Tensor):
    """A value of a loss that trains nothing; what is computed from it is one, until it meets a gradient.

    As a measure, printed or logged, it is as good as any. As a summand it is a mistake, and `told` is called.
    """

    told: ClassVar[Callable[[], None] | None] = None

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None) -> Any:
        result: Any = super().__torch_function__(func, types, args, kwargs or {})  # type: ignore[no-untyped-call]
        if not isinstance(result, Untrained):
            return result
        if not result.requires_grad and cls.told is not None:
            return result
        if result.requires_grad and cls.told is not None and getattr(func, "__name__", "") in ADDITIONS:
            cls.told()
        return result.as_subclass(Tensor)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.as_subclass(Tensor).__reduce_ex__(protocol)


def marked(value: Any) -> Any:
    """Return what a module made, its floating point tensors marked."""
    if isinstance(value, Tensor):
        return value.as_subclass(Untrained) if value.is_floating_point() and not value.requires_grad else value
    if type(value) in (tuple, list):
        return type(value)(marked(one) for one in value)
    return {key: marked(one) for key, one in value.items()} if type(value) is dict else value
