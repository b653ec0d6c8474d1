"""Private parts of torch, and what differs by version."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import IO, Any

import torch
from torch import distributed as dist

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


def abort_process_group() -> None:
    """End the process group at once: `destroy_process_group` waits for collectives, also for those that never end."""
    dist.distributed_c10d._abort_process_group()


def outside_graph(call: Callable[..., Any], reason: str) -> Callable[..., Any]:
    """Return a function that `torch.compile` does not trace; why, it says where torch takes a reason."""
    outside: Callable[..., Any] = torch.compiler.disable(call, **({"reason": reason} if REASONED else {}))
    return outside
