"""The networks that a checkpoint holds: which entry has tensors by name, wherever a framework has put it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from .inert import Inert

if TYPE_CHECKING:
    from torch import Tensor

#: What DistributedDataParallel, torch.compile, Fabric and FSDP put into the names of what they wrap.
WRAPPERS = frozenset({"module", "_orig_mod", "_forward_module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
#: Entries in entries in entries are looked into so deep.
DEPTH = 8


class Entry(NamedTuple):
    """Tensors by name, and the dotted path of the entry that has them: empty for the whole file."""

    path: str
    tensors: dict[str, Tensor]


def entries(loaded: Any) -> Iterator[Entry]:
    """Yield every mapping of a checkpoint that has tensors, and every module that was saved whole, outermost first."""
    return _walk(loaded, "", DEPTH)


def _walk(value: Any, path: str, depth: int) -> Iterator[Entry]:
    if tensors := tensors_of(value):
        yield Entry(path, tensors)
    children = vars(value) if isinstance(value, Inert) and "_modules" not in vars(value) else value
    if isinstance(children, Mapping) and depth:
        for name, child in children.items():
            yield from _walk(child, f"{path}.{name}" if path else str(name), depth - 1)


def tensors_of(value: Any, depth: int = 100) -> dict[str, Tensor]:
    """Return the tensors of a state dict, or of a module that was saved whole (and is a stand-in now)."""
    from torch import Tensor

    if isinstance(value, Mapping):
        return {str(name): tensor for name, tensor in value.items() if isinstance(tensor, Tensor)}
    if not isinstance(value, Inert) or not depth:
        return {}
    state = vars(value)
    found = {**tensors_of(state.get("_parameters")), **tensors_of(state.get("_buffers"))}
    modules = state.get("_modules")
    for child, module in modules.items() if isinstance(modules, Mapping) else ():
        found |= {f"{child}.{name}": tensor for name, tensor in tensors_of(module, depth - 1).items()}
    return found


def bare(name: str) -> str:
    """Return a tensor's name without what wrappers put into it, wherever and however often."""
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)
