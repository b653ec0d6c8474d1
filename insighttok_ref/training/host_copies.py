"""Copies in the host's memory, which a step that goes on does not change."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


def on_host(data: T) -> T:
    """Return a copy of plain data and tensors, all of it in the host's memory; what is shared stays shared.

    What lies on a GPU comes into pinned memory, which the card itself writes, many times as fast.
    """
    copies: dict[Any, Tensor] = {}
    memo: dict[int, Any] = {}
    for tensor in tensors_of(data):
        if tensor.device.type != "cpu":
            view = (tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride())
            memo[id(tensor)] = copies[view] = copies[view] if view in copies else host_copy(tensor)
    copied = copy.deepcopy(data, memo)
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return copied


def host_copy(tensor: Tensor) -> Tensor:
    """Return a copy of a tensor alone in the host's memory; a GPU may still be writing it."""
    blank = torch.empty_like(tensor, device="cpu", requires_grad=False, pin_memory=tensor.is_cuda)
    return blank.copy_(tensor.detach(), non_blocking=tensor.is_cuda)


def tensors_of(data: Any) -> Iterator[Tensor]:
    """Yield all tensors in mappings, lists and tuples inside one another."""
    if isinstance(data, Tensor):
        yield data
    elif isinstance(data, Mapping):
        for value in data.values():
            yield from tensors_of(value)
    elif isinstance(data, list | tuple):
        for value in data:
            yield from tensors_of(value)
