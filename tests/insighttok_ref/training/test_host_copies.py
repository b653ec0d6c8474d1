"""Copies for a thread that writes: the bytes that the originals would have given, and memory of their own."""

from __future__ import annotations

import io
from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch import nn

from insighttok_ref.training.host_copies import host_copy, on_host, tensors_of


def saved(data: object) -> bytes:
    stream = io.BytesIO()
    torch.save(data, stream)
    return stream.getvalue()


def state(device: str = "cpu") -> dict[str, Any]:
    """What checkpoints hold: tied weights, channels last, optimizers that number their weights, numbers, None."""
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Linear(5, 5), nn.Linear(5, 5)).to(device)
    module[0].to(memory_format=torch.channels_last)
    module[3].weight = module[2].weight
    adam = torch.optim.AdamW(module[2:].parameters())
    module[3](module[2](torch.ones(1, 5, device=device))).sum().backward()
    adam.step()
    return {"model": module.state_dict(), "average": None, "step": 3, "adam": adam.state_dict(), "names": ["a", "b"]}


def test_a_copy_is_saved_as_the_original_and_is_its_own() -> None:
    held = state()
    wanted = saved(held)
    copied = on_host(held)
    for tensor in tensors_of(held):
        tensor.zero_()
    assert saved(copied) == wanted
    assert isinstance(copied["model"], OrderedDict)
    assert copied["model"]["2.weight"].data_ptr() == copied["model"]["3.weight"].data_ptr()


def test_a_part_of_a_tensor_is_copied_alone() -> None:
    whole = torch.arange(100_000.0)
    part = host_copy(whole[10:20])
    assert part.untyped_storage().nbytes() == 40
    whole.zero_()
    assert part.tolist() == list(range(10, 20))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator here")
def test_what_a_gpu_holds_comes_into_pinned_memory() -> None:
    torch.manual_seed(0)
    held = state("cuda")
    copied = on_host(held)
    assert copied["model"]["2.weight"] is copied["model"]["3.weight"]
    for mine, other in zip(tensors_of(copied), tensors_of(held), strict=True):
        assert mine.device.type == "cpu"
        assert mine.is_pinned() or other.device.type == "cpu"
        assert mine.stride() == other.stride()
        assert torch.equal(mine, other.cpu())
