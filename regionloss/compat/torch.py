"""Private parts of torch, and what differs by version."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable
from typing import IO, Any

import torch
from torch import distributed as dist
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

#: Before 2.8, torch took no reason.
REASONED = "reason" in inspect.signature(torch.compiler.disable).parameters


def archive_members(stream: IO[bytes]) -> list[str]:
    """Return the names in a zip archive as `torch.load` reads them: `zipfile` may see others in a crafted one."""
    return list(torch._C.PyTorchFileReader(stream).get_all_records())


def archive_pickle(stream: IO[bytes]) -> bytes:
    """Return the pickle in a zip archive that `torch.load` reads first."""
    found: bytes = torch._C.PyTorchFileReader(stream).get_record("data.pkl")
    return found


def in_backward() -> bool:
    """Return whether a backward pass is under way in this thread: so activation checkpointing is told apart."""
    return torch._C._current_graph_task_id() != -1


def backward(loss: torch.Tensor, gradient: torch.Tensor | None = None, keep_graph: bool = False) -> None:
    """Do what `loss.backward(gradient)` does, in the function modes of the caller: torch's own leaves them."""
    given = torch.ones_like(loss) if gradient is None else gradient
    engine = torch.autograd.Variable._execution_engine
    engine.run_backward((loss,), (given,), keep_graph, False, (), allow_unreachable=True, accumulate_grad=True)


def fused_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    dropout: float,
    causal: bool,
    scale: float | None,
) -> torch.Tensor:
    """Return attention (B, heads, n, d) by a kernel that keeps no matrix of weights; the meta device has its shapes."""
    kernel = torch.ops.aten._scaled_dot_product_efficient_attention
    given = (query, key, value, mask, torch.is_grad_enabled(), dropout, causal)
    made: tuple[torch.Tensor, ...] = kernel(*given, scale=scale)
    return made[0]


def abort_process_group() -> None:
    """End the process group at once: `destroy_process_group` waits for collectives, also for those that never end."""
    dist.distributed_c10d._abort_process_group()


def outside_graph(call: Callable[..., Any], reason: str) -> Callable[..., Any]:
    """Return a function that `torch.compile` does not trace; why, it says where torch takes a reason."""
    outside: Callable[..., Any] = torch.compiler.disable(call, **({"reason": reason} if REASONED else {}))
    return outside


class MostBytes(TorchDispatchMode):
    """Counts the bytes of the tensors that are made within it and live at once, on the meta device too; `most` is the
    highest count."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self.counted: set[int] = set()

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call an operator, and count the storages of what it returns until they are freed."""
        result = func(*args, **(kwargs or {}))
        given = {one.untyped_storage()._cdata for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)}
        for one in tree_leaves(result):
            if isinstance(one, torch.Tensor):
                self._count(one.untyped_storage(), given)
        return result

    def _count(self, storage: torch.UntypedStorage, given: set[int]) -> None:
        known, size = storage._cdata, storage.nbytes()
        if known in self.counted or known in given:
            return
        self.counted.add(known)
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._free, known, size)

    def _free(self, known: int, size: int) -> None:
        self.counted.discard(known)
        self.now -= size
