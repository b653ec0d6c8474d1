"""The networks that a checkpoint holds: which entry has tensors by name, wherever a framework has put it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from regionloss.weights.inert import Inert

if TYPE_CHECKING:
    from torch import Tensor

#: What DistributedDataParallel, torch.compile, Fabric and FSDP put into the names of what they wrap.
WRAPPERS = frozenset({"module", "_orig_mod", "_forward_module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
#: Entries in entries in entries are looked into so deep, and so many modules of one that was saved whole.
DEPTH, MODULES = 8, 10_000


class Entry(NamedTuple):
    """Tensors by name, and the dotted path of the entry that has them: empty for the whole file."""

    path: str
    tensors: dict[str, Tensor]


def entries(loaded: Any) -> Iterator[Entry]:
    """Yield every mapping of a checkpoint that has tensors, and every module that was saved whole, outermost first."""
    for path, value in walk(loaded):
        if tensors := _tensors_of(value):
            yield Entry(path, tensors)


def walk(loaded: Any) -> Iterator[tuple[str, Any]]:
    """Yield every mapping of a checkpoint with its path, outermost first, each once: a file may hold itself.

    Objects that were not built count as mappings of what they held, but for modules, which are yielded as they are.
    Lists are looked into, and what stands in them has its number for a name.
    """
    todo, seen = deque([("", loaded, 0)]), set[int]()
    while todo:
        path, value, depth = todo.popleft()
        if isinstance(value, Inert) and "_modules" not in vars(value):
            value = vars(value)
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Mapping | Inert):
            yield path, value
        inside = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
        for name, child in inside if depth < DEPTH else ():
            if isinstance(child, Mapping | Inert | list):
                todo.append((f"{path}.{name}" if path else str(name), child, depth + 1))


def _tensors_of(value: Any) -> dict[str, Tensor]:
    """Return the tensors of a state dict, or of a module that was saved whole (and is a stand-in now)."""
    from torch import Tensor

    found: dict[str, Tensor] = {}
    todo: deque[tuple[str, Any]] = deque([("", value)])
    for _ in range(MODULES):
        if not todo:
            break
        prefix, one = todo.popleft()
        if isinstance(one, Mapping):
            found |= {f"{prefix}{name}": tensor for name, tensor in one.items() if isinstance(tensor, Tensor)}
        elif isinstance(one, Inert):
            state = vars(one)
            todo += [(prefix, state.get(part)) for part in ("_parameters", "_buffers")]
            modules = state.get("_modules")
            todo += [(f"{prefix}{name}.", m) for name, m in modules.items()] if isinstance(modules, Mapping) else []
    return found


def bare(name: str) -> str:
    """Return a tensor's name without what wrappers put into it, wherever and however often."""
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)
