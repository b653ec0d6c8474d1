"""Several processes, an array of Slurm jobs: all do what one process does (a Ray cluster: test_ray.py)."""

from __future__ import annotations

import os
import signal
from itertools import chain
from pathlib import Path

import pytest
from shards import PLUGIN, random_shard

from regionloss.data.annotate.annotator import Annotate
from regionloss.data.annotate.detectors import NamedDetector
from regionloss.data.annotate.job import Job, Report
from regionloss.data.annotate.jobs import jobs_of
from regionloss.data.annotate.run_local import run_apart, run_here
from regionloss.data.annotate.run_slurm import share, task_of
from regionloss.data.sidecars.sidecar import read_sidecar
from regionloss.errors import InputError

HOW = Annotate((NamedDetector("spots/red"),), (PLUGIN,), decoders=1, threads=1)
JOBS = [Job(f"{n}.tar", f"{n}.regions.parquet") for n in range(11)]


@pytest.fixture
def shards(tmp_path: Path) -> dict[str, dict[str, tuple[int, int, int, int]]]:
    expected = {}
    for number in range(5):
        contents, expected[f"{number}"] = random_shard(number)
        (tmp_path / f"{number}.tar").write_bytes(contents)
    return expected


def check(reports: list[Report], expected: dict[str, dict[str, tuple[int, int, int, int]]]) -> None:
    """Every shard has its side-car, and it has the rectangles that were drawn."""
    assert [report.failed for report in reports] == [""] * len(expected)
    assert sorted(Path(report.job.shard).stem for report in reports) == sorted(expected)
    for report in reports:
        for row in read_sidecar(report.job.target).rows():
            size = (row["width"], row["height"]) * 2
            box = tuple(round(v * side) for v, side in zip(row["regions"][0]["box"], size, strict=True))
            assert box == expected[Path(report.job.shard).stem][row["key"]]


def test_each_shard_is_of_one_task_and_none_is_lost() -> None:
    for tasks in (1, 2, 3, 11, 20):
        shares = [share(JOBS, task, tasks) for task in range(tasks)]
        assert sorted(chain.from_iterable(shares), key=JOBS.index) == JOBS
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert share(JOBS, 1, 4) == [JOBS[1], JOBS[5], JOBS[9]]
    with pytest.raises(InputError, match="--task: expected a number from 0 to 3, got 4"):
        share(JOBS, 4, 4)


@pytest.mark.parametrize(
    ("array", "task"),
    [
        ({"ID": "0", "COUNT": "4", "MIN": "0", "MAX": "3", "STEP": "1"}, (0, 4)),
        ({"ID": "3", "COUNT": "4", "MIN": "1", "MAX": "4"}, (2, 4)),
        ({"ID": "30", "COUNT": "4", "MIN": "10", "MAX": "40", "STEP": "10"}, (2, 4)),
        ({"ID": "2", "COUNT": "3"}, (2, 3)),
    ],
)
def test_a_task_knows_itself_from_slurm(array: dict[str, str], task: tuple[int, int]) -> None:
    assert task_of({f"SLURM_ARRAY_TASK_{name}": value for name, value in array.items()}) == task


def test_outside_an_array_or_in_one_with_gaps_a_task_does_not_guess() -> None:
    with pytest.raises(InputError, match="expected the task of an array, got no SLURM_ARRAY_TASK_ID"):
        task_of({})
    gaps = {"ID": "7", "COUNT": "2", "MIN": "3", "MAX": "7", "STEP": "1"}
    with pytest.raises(InputError, match="an array without gaps, got 2 tasks from 3 to 7"):
        task_of({f"SLURM_ARRAY_TASK_{name}": value for name, value in gaps.items()})


def test_two_processes_do_what_one_does(tmp_path: Path, shards) -> None:
    seen: list[int] = []
    reports = list(run_apart([HOW, HOW], jobs_of([f"{tmp_path}/*.tar"]), seen.append))
    check(reports, shards)
    assert sum(seen) == 20
    before = {p.name: p.read_bytes() for p in tmp_path.glob("*.parquet")}
    for path in tmp_path.glob("*.parquet"):
        path.unlink()
    check(list(run_here(HOW(), jobs_of([f"{tmp_path}/*.tar"]), lambda images: None)), shards)
    assert {p.name: p.read_bytes() for p in tmp_path.glob("*.parquet")} == before


def test_what_lies_in_memory_stays_in_one_process() -> None:
    with pytest.raises(InputError, match="--workers: expected 1, for what lies in memory, got 2"):
        list(run_apart([HOW, HOW], [Job("memory://a.tar", "memory://a.regions.parquet")], lambda images: None))


class Dying:
    """A stage whose process is killed at one of its shards."""

    def __call__(self) -> Dying:
        return self

    def run(self, job: Job) -> Report:
        if job.shard == "3.tar":
            os.kill(os.getpid(), signal.SIGKILL)
        return Report(job, 1)


class DyingStage:
    def __init__(self) -> None:
        self.inner = Dying()

    def __call__(self, jobs, tick):
        return (self.inner.run(job) for job in jobs)

    def close(self) -> None:
        pass


def test_of_a_process_that_is_killed_only_the_shards_under_way_are_lost() -> None:
    reports = list(run_apart([DyingStage, DyingStage], JOBS, lambda images: None))
    assert sorted(report.job.shard for report in reports) == sorted(job.shard for job in JOBS)
    failed = [report for report in reports if report.failed]
    assert [report.job.shard for report in failed] == ["3.tar"]
    assert "came to a sudden end (-9)" in failed[0].failed
