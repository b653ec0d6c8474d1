"""Reading a checkpoint that holds more than tensors, without running anything that it asks for.

A pickle names functions and classes, and the usual reader imports and calls them. Here only the few that build
tensors and ordered dicts are known; every other name becomes an inert stand-in that accepts whatever the pickle
does to it and does nothing. So a checkpoint of MMOCR is read where mmengine is not installed, and a hostile one
does no harm.
"""

from __future__ import annotations

import pickle
from types import FunctionType, ModuleType
from typing import Any

_KNOWN = {
    ("collections", "OrderedDict"),
    ("torch", "Size"),
    ("torch", "device"),
    ("torch._utils", "_rebuild_tensor"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch.serialization", "_get_layout"),
}


class Inert:
    """Stands for an object of a class that is not imported: takes any call, item or state; keeps the state."""

    def __new__(cls, *args: Any, **options: Any) -> Inert:
        """Take any arguments."""
        return super().__new__(cls)

    def __init__(self, *args: Any, **options: Any) -> None:
        pass

    def __call__(self, *args: Any, **options: Any) -> Inert:
        """Return another one, as a factory would."""
        return Inert()

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.__dict__.update(state)

    def append(self, value: Any) -> None:
        """Take what a pickled list would."""

    def extend(self, values: Any) -> None:
        """Take what a pickled list would."""

    def add(self, value: Any) -> None:
        """Take what a pickled set would."""


class InertUnpickler(pickle.Unpickler):
    """An unpickler that builds tensors and plain containers, and `Inert` for everything else."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what builds tensors, or a dtype; else a stand-in. Storages are known to torch's reader."""
        import torch

        if (module, name) in _KNOWN:
            found = super().find_class(module, name)
            # A pickle may set attributes of what it gets: of this copy, and not of torch's own function.
            return (lambda *values: found(*values)) if isinstance(found, FunctionType) else found
        if module == "torch" and isinstance(dtype := getattr(torch, name, None), torch.dtype):
            return dtype
        return type(name, (Inert,), {"__module__": module})


def inert_reader() -> Any:
    """Return what `torch.load` takes as a module to unpickle with."""
    reader: Any = ModuleType("inert")
    reader.Unpickler = InertUnpickler
    reader.load = lambda stream, **options: InertUnpickler(stream, **options).load()
    return reader
