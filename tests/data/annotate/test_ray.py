"""A Ray cluster of two nodes on this machine, and what is reckoned and handed out without one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from shards import PLUGIN, random_shard
from typer.testing import CliRunner

from regionloss.cli.main import app
from regionloss.data.annotate.annotator import Annotate
from regionloss.data.annotate.detectors import NamedDetector
from regionloss.data.annotate.executor import There
from regionloss.data.annotate.job import Job, Report
from regionloss.data.annotate.run_ray import TRIES, run_on_ray
from regionloss.data.sidecars.sidecar import read_sidecar
from regionloss.errors import InputError, LostProcessError, WeightsError
from tests.patience import patience

JOBS = [Job(f"{n}.tar", f"{n}.regions.parquet") for n in range(11)]
HOW = Annotate((NamedDetector("spots/red"),), (PLUGIN,), decoders=0)
DOES = ('spots/red 1  {"max_side": 1600, "pause": 0.0, "refuse": 0, "score": 0.75} sign',)


def test_an_actor_takes_the_device_and_the_processors_that_are_there() -> None:
    for decoders, processors, expected in ((0, 9, 8), (0, 64, 8), (0, 1, 1), (3, 9, 3)):
        stage = There(replace(HOW, decoders=decoders), DOES, "auto")(processors)
        stage.close()
        assert stage.options.decoders == expected
        assert stage.options.device == ("cuda:0" if torch.cuda.is_available() else "cpu")
    with pytest.raises(InputError, match="--device: expected a device of this machine, got 'cuda:99'"):
        There(HOW, DOES, "cuda:99")(1)
    other = (DOES[0].replace(" 1 ", " 2 "),)
    with pytest.raises(InputError, match=r"expected spots/red 2 .* as where it was started, got spots/red 1 "):
        There(HOW, other, "cpu")(1)


def said(*words: str) -> str:
    """Return what a command that fails prints."""
    result = CliRunner().invoke(app, ["annotate", *words, "--detectors", "red", "--plugin", PLUGIN, "--engine", "ray"])
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 2
    return " ".join(result.output.split())


def test_what_a_cluster_cannot_do_is_said_before_it_is_asked(tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("ray")
    shard = tmp_path / "0.tar"
    shard.write_bytes(random_shard(0)[0])
    assert "expected auto, cpu or cuda with --engine ray, got 'cuda:1'" in said(str(shard), "--device", "cuda:1")
    with pytest.raises(InputError, match="--engine: expected local, for what lies in memory, got ray"):
        next(run_on_ray(Ahead, [Job("0.tar", "memory://0.regions.parquet")]))
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        assert f"RAY_ADDRESS: expected the address of a cluster, got '{address}', where none answers" in said(
            str(shard)
        )


class Ahead:
    """A stage that has two shards more in hand than the one it is at, and whose process is killed at one."""

    def __init__(self, processors: int) -> None:
        self.processors = processors

    def __call__(self, jobs, tick) -> Iterator[Report]:
        taken: deque[Job] = deque()
        for job in jobs:
            taken.append(job)
            if len(taken) > 2:
                yield self.run(taken.popleft(), len(taken))
        while taken:
            yield self.run(taken.popleft(), len(taken))

    def run(self, job: Job, ahead: int) -> Report:
        time.sleep(0.05)
        if job.shard == "3.tar":
            os.kill(os.getpid(), signal.SIGKILL)
        return Report(job, self.processors, ahead, named={os.environ.get("CUDA_VISIBLE_DEVICES", ""): os.getpid()})

    def close(self) -> None:
        pass


class Together(Ahead):
    """Goes on when a process of each of two GPUs has done a shard, however long those that follow killed ones take."""

    def __init__(self, folder: Path, processors: int) -> None:
        super().__init__(processors)
        self.folder = folder

    def run(self, job: Job, ahead: int) -> Report:
        report = super().run(job, ahead)
        (self.folder / os.environ["CUDA_VISIBLE_DEVICES"]).touch()
        until = time.monotonic() + 60
        while len(list(self.folder.iterdir())) < 2 and time.monotonic() < until:
            time.sleep(0.02)
        return report


def without_weights(processors: int) -> Ahead:
    raise WeightsError("weights 'x' not found.")


def deadly(processors: int) -> Ahead:
    os.kill(os.getpid(), signal.SIGKILL)
    return Ahead(processors)


def unreached(processors: int) -> Ahead:
    """Fail as an actor does whose node goes down: it says of others that they are dead."""
    from ray.exceptions import ActorDiedError

    raise ActorDiedError


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A head without a GPU, and a node that says it has two; both in a folder of their own."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("nodes"))
        patch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
        started = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        try:
            started.add_node(num_cpus=2, num_gpus=2)
            ray.init(started.address, log_to_driver=False, configure_logging=False)
            yield started
        finally:
            ray.shutdown()
            started.shutdown()


on_a_cluster = pytest.mark.filterwarnings("ignore")


@on_a_cluster
def test_of_actors_that_are_killed_one_shard_is_lost_and_every_gpu_is_used(cluster: Any, tmp_path: Path) -> None:
    reports = list(run_on_ray(partial(Together, tmp_path), JOBS, cpus=9))
    assert sorted(report.job.shard for report in reports) == sorted(job.shard for job in JOBS)
    failed = [report for report in reports if report.failed]
    assert [report.failed for report in failed] == [
        f"3.tar: each of {TRIES} actors that were at it came to a sudden end. Run the command again."
    ]
    others = [report for report in reports if not report.failed]
    assert {report.images for report in others} == {1}  # of nine processors that it could use the node has one for each
    assert max(report.rows for report in others) == 2  # the next ones are in hand
    assert {gpu for report in others for gpu in report.named} == {"0", "1"}


@on_a_cluster
def test_an_actor_that_cannot_begin_is_a_sentence(cluster: Any) -> None:
    with pytest.raises(WeightsError, match=r"^on node \S+: weights 'x' not found\.$"):
        list(run_on_ray(without_weights, JOBS))
    for build in (deadly, unreached):
        with pytest.raises(LostProcessError, match=f"got {TRIES} that came to a sudden end before they had a job"):
            list(run_on_ray(build, JOBS, workers=1))
    with pytest.raises(InputError, match=r"--workers: expected at most 2, .* got 3"):
        list(run_on_ray(Ahead, JOBS, workers=3))


@on_a_cluster
def test_jobs_are_not_waited_for_when_no_node_is_left_that_could_take_them(cluster: Any, monkeypatch) -> None:
    monkeypatch.setattr("regionloss.data.annotate.run_ray.LOOK", 0.5)
    node = cluster.add_node(num_cpus=8)
    reports = run_on_ray(Ahead, JOBS[:3] + JOBS[4:], workers=1, cpus=8, gpus=False)  # too many for the other nodes
    done = [next(reports), next(reports)]
    cluster.remove_node(node)
    rest = list(reports)
    assert sorted(report.job.shard for report in done + rest) == sorted(job.shard for job in JOBS if job != JOBS[3])
    assert rest[-1].failed.endswith(".tar: no node is left that could take it. Run the command again.")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Shards and a plugin below the working directory."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    Path("spots.py").write_text(Path(PLUGIN).read_text())
    return tmp_path


WORDS = ["annotate", "in", "--detectors", "red", "--plugin", "spots.py", "--out", "out", "--engine", "ray"]


@on_a_cluster
def test_relative_paths_are_those_of_the_command(cluster: Any, here: Path) -> None:
    import ray

    assert ray.get(ray.remote(lambda: os.getcwd()).remote()) != os.getcwd()
    boxes = {}
    for number in range(5):
        contents, found = random_shard(number)
        Path(f"in/{number}.tar").write_bytes(contents)
        boxes |= found
    result = CliRunner().invoke(app, [*WORDS, "--device", "cpu", "--workers", "2", "--decoders", "1"])
    assert result.exit_code == 0, result.output
    assert "5 annotated, 0 done already, 0 failed" in result.output
    assert ray.is_initialized()  # what the caller has started, the caller stops
    rows = [row for path in Path("out").glob("*.parquet") for row in read_sidecar(str(path)).rows()]
    assert len(rows) == len(boxes)
    for row in rows:
        size = (row["width"], row["height"]) * 2
        box = tuple(round(v * side) for v, side in zip(row["regions"][0]["box"], size, strict=True))
        assert box == boxes[row["key"]]
    assert "All 5 shards are done already." in CliRunner().invoke(app, WORDS).output


@on_a_cluster
def test_ctrl_c_is_a_sentence_and_leaves_the_cluster_as_it_was(cluster: Any, here: Path) -> None:
    import ray

    for number in range(6):
        Path(f"in/{number}.tar").write_bytes(random_shard(number)[0])
    words = [*WORDS, "--option", "pause=0.4", "--workers", "1", "--decoders", "1", "--device", "cpu"]
    run = subprocess.Popen(
        [sys.executable, "-m", "regionloss", *words],
        env=os.environ | {"RAY_ADDRESS": cluster.address},
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list(here.glob("out/*.parquet")):
        assert run.poll() is None, run.communicate()[1]
        time.sleep(0.02)
    run.send_signal(signal.SIGINT)
    last = run.communicate(timeout=patience(6))[1].splitlines()[-1]
    assert run.returncode == 130
    assert last.startswith("Stopped: ")
    assert last.endswith("of 6 shards done. The same command goes on from there.")
    deadline = time.monotonic() + patience(3)
    while ray.available_resources().get("CPU") != 3 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert ray.available_resources()["CPU"] == 3
