"""What a pickle has built, as dicts and lists that are our own: a file may put its own things in place of methods."""

from __future__ import annotations

from typing import Any

from regionloss.weights.inert import Inert

#: Characters of the longest name; no tensor has one like that.
LONGEST = 1000


class Plain:
    """Makes plain data of what a pickle has built.

    Dicts of any class become plain dicts, lists and tuples of dicts or lists become lists, tensors lose what was
    attached to them, and keys that nobody could read become texts that say what they are. What is shared stays shared,
    and what holds itself goes on doing so.
    """

    def __init__(self) -> None:
        self.made: dict[int, Any] = {}
        self.todo: list[tuple[Any, dict[Any, Any] | list[Any]]] = []
        #: Bytes of all tensors whose values are there one by one.
        self.size = 0

    def of(self, loaded: Any) -> Any:
        """Return the same as plain data; `loaded` is not to be used any more."""
        result = self._copy(loaded)
        while self.todo:  # no calls inside one another: a pickle may nest deeper than they can
            old, new = self.todo.pop()
            if isinstance(new, dict):
                new.update((_key(key, n), self._copy(value)) for n, (key, value) in enumerate(dict.items(old)))
            else:
                new.extend(map(self._copy, old))
        return result

    def _copy(self, value: Any) -> Any:
        """Return what stands for a value, empty as yet where it holds others."""
        if id(value) not in self.made:
            self.made[id(value)] = self._begun(value)
        return self.made[id(value)]

    def _begun(self, value: Any) -> Any:
        from torch import Tensor, strided

        if isinstance(value, Tensor):
            tensor = Tensor.detach(value)
            if tensor.layout == strided and not (tensor.is_meta or tensor.is_nested):
                self.size += tensor.numel() * tensor.element_size()
            return tensor
        if isinstance(value, Inert):
            held, value.__dict__ = value.__dict__, {}
            self.todo.append((held, value.__dict__))
            return value
        holds = isinstance(value, tuple) and any(isinstance(one, dict | list | tuple | Inert) for one in value)
        new: Any = {} if isinstance(value, dict) else [] if isinstance(value, list) or holds else None
        if new is None:
            return value
        self.todo.append((value, new))
        return new


def _key(key: Any, place: int) -> Any:
    """Return a key as it is shown, and written to other files."""
    if isinstance(key, str):
        text = key.encode("utf-8", "backslashreplace").decode()
        return text if len(text) <= LONGEST else f"{text[:LONGEST]}... (entry {place})"
    short = (isinstance(key, int) and key.bit_length() <= 64) or (isinstance(key, bytes) and len(key) <= LONGEST)
    return key if key is None or short or isinstance(key, float) else f"{type(key).__name__} (entry {place})"
