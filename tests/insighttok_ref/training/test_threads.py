"""Threads beside other programs, by what the system says of its cores."""

from __future__ import annotations

import psutil
import pytest
import torch

from insighttok_ref.training import threads
from insighttok_ref.training.threads import quiet, threads_for


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in threads.CHOSEN:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("cores", "used", "wanted"),
    [(2, [3, 8], 2), (2, [100, 2], 1), (2, [60, 55], 1), (2, [100, 100], 1), (8, [100, 95, *[1] * 6], 6)],
)
def test_busy_cores_are_left_to_others(
    monkeypatch: pytest.MonkeyPatch, cores: int, used: list[float], wanted: int
) -> None:
    monkeypatch.setattr(psutil, "cpu_percent", lambda seconds, percpu: used)
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda process: set(range(cores)), raising=False)
    assert quiet(cores) == wanted


def test_the_real_machine_has_one_at_least() -> None:
    assert 1 <= quiet(4) <= 4
    assert quiet(1) == 1


@pytest.mark.usefixtures("unset")
def test_a_run_that_goes_on_keeps_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "quiet", lambda cores: 5)
    assert threads_for(None, 3) == 3
    assert threads_for(None, None) == 5
    assert threads_for(2, 3) == 2


def test_what_the_user_has_set_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert threads_for(None, 3) == torch.get_num_threads()
