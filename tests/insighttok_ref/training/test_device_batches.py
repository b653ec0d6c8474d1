"""Batches come in order, one begun before one is read; on an accelerator no step waits for a copy."""

from __future__ import annotations

from itertools import count

import pytest
import torch

from insighttok_ref.training.device_batches import on_device, one_ahead
from regionloss.data.batches import Batch
from tests.helpers import text_regions


def batches() -> list[Batch]:
    return [Batch(torch.full((3, 3, 40, 48), number, dtype=torch.uint8), {"text": text_regions()}) for number in (1, 2)]


def test_the_next_one_is_begun_before_one_is_read() -> None:
    seen: list[tuple[str, int]] = []
    begin, ready = ((lambda n, what=what: seen.append((what, n)) or n) for what in ("begun", "ready"))
    given = one_ahead(count(), begin, ready)
    assert [next(given) for _ in range(3)] == [0, 1, 2]
    assert seen == [
        *(("begun", 0), ("begun", 1), ("ready", 0)),
        *(("begun", 2), ("ready", 1)),
        *(("begun", 3), ("ready", 2)),
    ]


@pytest.mark.parametrize("length", range(4))
def test_what_ends_loses_nothing(length: int) -> None:
    assert list(one_ahead(iter(range(length)), lambda n: -n, lambda n: -n)) == list(range(length))


def test_a_cpu_takes_them_as_they_come() -> None:
    given = batches()
    assert all(one is other for one, other in zip(on_device(iter(given), torch.device("cpu")), given, strict=True))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator here")
def test_a_gpu_gets_the_same_batches_and_never_waits() -> None:
    wanted = batches()
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = list(on_device(iter(batches()), torch.device("cuda", torch.cuda.current_device())))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for ours, other in zip(found, wanted, strict=True):
        assert ours.pixels.is_cuda
        assert torch.equal(ours.pixels.cpu(), other.pixels)
        assert torch.equal(ours.regions["text"].boxes.cpu(), other.regions["text"].boxes)
