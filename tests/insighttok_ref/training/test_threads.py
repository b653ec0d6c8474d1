"""Threads beside other programs and in containers, by what the system says of its cores."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch

from insighttok_ref.training import threads
from insighttok_ref.training.threads import quiet, quota, threads_for


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in threads.CHOSEN:
        monkeypatch.delenv(name, raising=False)


def cores_show(monkeypatch: pytest.MonkeyPatch, user: list[float], nice: list[float], own: int = 0) -> None:
    shown = [
        SimpleNamespace(user=a, nice=b, iowait=1.0, idle=99.0 - a - b if a + b < 99 else 0.0)
        for a, b in zip(user, nice, strict=True)
    ]
    monkeypatch.setattr(psutil, "cpu_times_percent", lambda seconds, percpu: shown)
    monkeypatch.setattr(psutil, "Process", lambda: SimpleNamespace(nice=lambda: own))
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda process: set(range(len(user))), raising=False)


@pytest.mark.parametrize(
    ("cores", "used", "wanted"),
    [(2, [3, 8], 2), (2, [100, 2], 1), (2, [60, 55], 1), (2, [100, 100], 1), (8, [100, 95, *[1] * 6], 6)],
)
def test_busy_cores_are_left_to_others(
    monkeypatch: pytest.MonkeyPatch, cores: int, used: list[float], wanted: int
) -> None:
    cores_show(monkeypatch, used, [0] * cores)
    assert quiet(cores) == wanted


@pytest.mark.parametrize(("own", "wanted"), [(0, 3), (10, 1)])
def test_what_runs_at_a_low_priority_gives_way_but_to_its_like(
    monkeypatch: pytest.MonkeyPatch, own: int, wanted: int
) -> None:
    cores_show(monkeypatch, [90, 0, 0, 0], [0, 95, 95, 0], own)
    assert quiet(4) == wanted


def test_a_look_at_the_real_machine_accounts_for_all_of_the_time() -> None:
    for core in psutil.cpu_times_percent(threads.LOOK, percpu=True):
        assert sum(core[:8]) == pytest.approx(100, abs=10)  # what comes after these is counted in them


def test_the_real_machine_has_one_at_least() -> None:
    assert 1 <= quiet(4) <= 4
    assert quiet(1) == 1
    assert quota() > 0


def group(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text + "\n")


@pytest.mark.parametrize(
    ("mine", "at", "files", "wanted"),
    [
        ("0::/", "", {"cpu__max": "250000 100000"}, 2.5),
        ("0::/", "", {"cpu__max": "max 100000"}, math.inf),
        ("0::/a.slice/b.scope", "a.slice", {"cpu__max": "50000 100000"}, 0.5),
        ("4:cpu,cpuacct:/docker/1f", "cpu", {"cpu__cfs_quota_us": "300000", "cpu__cfs_period_us": "100000"}, 3.0),
        ("1:cpu:/\n0::/", "cpu", {"cpu__cfs_quota_us": "-1", "cpu__cfs_period_us": "100000"}, math.inf),
        ("3:cpuset:/\n5:memory:/x", "cpu", {"cpu__cfs_quota_us": "1", "cpu__cfs_period_us": "100000"}, math.inf),
    ],
)
def test_the_limit_of_a_container_is_read(
    tmp_path: Path, mine: str, at: str, files: dict[str, str], wanted: float
) -> None:
    """As kernels write them: version 2, version 1, both at once; of the group itself or of one around it."""
    group(tmp_path / "groups" / at, **files)
    (tmp_path / "mine").write_text(mine + "\n")
    assert quota(tmp_path / "groups", tmp_path / "mine") == wanted


def test_a_machine_without_control_groups_has_no_limit(tmp_path: Path) -> None:
    assert quota(tmp_path, tmp_path / "none") == math.inf


@pytest.mark.usefixtures("unset")
@pytest.mark.parametrize(("allowed", "wanted"), [(math.inf, 5), (3.0, 3), (1.6, 2), (0.25, 1)])
def test_a_run_keeps_to_its_container(monkeypatch: pytest.MonkeyPatch, allowed: float, wanted: int) -> None:
    monkeypatch.setattr(threads, "quiet", lambda cores: 5)
    monkeypatch.setattr(threads, "quota", lambda: allowed)
    assert threads_for(None, None) == wanted


@pytest.mark.usefixtures("unset")
def test_a_run_that_goes_on_keeps_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "quiet", lambda cores: 5)
    assert threads_for(None, 3) == 3
    assert threads_for(2, 3) == 2


def test_what_the_user_has_set_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert threads_for(None, 3) == torch.get_num_threads()
