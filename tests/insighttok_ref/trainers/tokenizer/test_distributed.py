"""Several processes as one run: real processes, started by real launchers, over gloo."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import distributed as dist

from regionloss.errors import InputError
from regionloss.runs.collectives import control_group
from regionloss.runs.launch import Launch
from regionloss.runs.process_group import agree, barrier, device_of, gather_objects, join, mean_over_ranks
from tests.full_disk import FULL
from tests.patience import patience

RECIPE = Path(__file__).with_name("company.yaml")
LAUNCHERS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_", "SLURM_", "OMPI_", "PMI_", "TORCHELASTIC_")
FAILURE = "data: expected images, got none."
NO_RUN = "--resume: expected the folder of an earlier run, got 'nowhere', which is none."


PROGRAM = "from regionloss.cli import main; main.run()"
#: The same, but a process that does not end by itself has one second instead of thirty.
IMPATIENT = (
    "from regionloss.cli import main; from regionloss.runs import rendezvous; rendezvous.GRACE = 1.0; main.run()"
)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def environment(**more: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(LAUNCHERS)}
    root = str(Path(__file__).parents[4])
    return {**clean, "OMP_NUM_THREADS": "1", "PYTHONPATH": root, "DS_ACCELERATOR": "cpu", **more}


def launched(folder: Path, *words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `regionloss launch` with the recipe, in `folder`."""
    command = [sys.executable, "-m", "regionloss", "launch", str(RECIPE), *words]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=patience(20), cwd=folder, env=env or environment(), check=False
    )


def by_slurm(folder: Path, size: int, *words: str, program: str = PROGRAM) -> list[tuple[int, str]]:
    """Start what srun would start, with its variables; return each task's exit code and what it wrote on stderr."""
    port = str(free_port())
    tasks = []
    for rank in range(size):
        variables = {
            "SLURM_JOB_ID": "1",
            "SLURM_STEP_ID": "0",
            "SLURM_NTASKS": str(size),
            "SLURM_PROCID": str(rank),
            "SLURM_LOCALID": str(rank),
            "SLURM_STEP_NODELIST": "localhost",
            "MASTER_PORT": port,
        }
        command = [sys.executable, "-c", program, "train", str(RECIPE), *words]
        env = environment(**variables)
        tasks.append(subprocess.Popen(command, cwd=folder, env=env, stderr=subprocess.PIPE, text=True))
    errors = [task.communicate(timeout=patience(20))[1] for task in tasks]
    return [(task.returncode, error) for task, error in zip(tasks, errors, strict=True)]


def check_two(folder: Path) -> None:
    """What two processes must have learnt, by hand."""
    said = [json.loads((folder / f"rank{rank}.json").read_text()) for rank in (0, 1)]
    assert [record.pop("ranks") for record in said] == [[0, 2, 0, 2, "cpu"], [1, 2, 1, 2, "cpu"]]
    assert [record.pop("left") for record in said] == [["0", "2", "0"], ["1", "2", "1"]]
    assert said[0] == said[1]
    assert said[0] == {
        "folder": str(folder.resolve()),
        "written": True,
        "agreed": [True, True, False],
        "gathered": [{"rank": 0, "names": []}, {"rank": 1, "names": ["x"]}],
        "means": {"a": 0.5, "b": [[1.0, 1.0]]},
        "gradients": [[6, 3 + 1, 3 + 2], [50, 51], [60, 61, 62], [70], [80, 81, 82], [90, 91, 92, 93, 94, 95]],
    }


def test_torchrun_and_one_folder_for_all(tmp_path: Path) -> None:
    """Without --out, where an earlier run has taken the first name."""
    (tmp_path / "runs/company").mkdir(parents=True)
    (tmp_path / "runs/company/old").touch()
    result = launched(tmp_path, "--with", "torchrun", "--processes-per-node", "2", "trainer.options.failing=[2, 3]")
    assert result.returncode == 0, result.stderr
    check_two(tmp_path / "runs/company-2")
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["company", "company-2"]


def test_deepspeed(tmp_path: Path) -> None:
    pytest.importorskip("deepspeed")
    words = ("--with", "deepspeed", "--gpus-per-node", "2", "--rendezvous", f"localhost:{free_port()}")
    result = launched(tmp_path, *words, "--out", "a run")
    assert result.returncode == 0, result.stderr
    check_two(tmp_path / "a run")


def test_slurm(tmp_path: Path) -> None:
    assert by_slurm(tmp_path, 2, "--out", "run") == [(0, ""), (0, "")]
    check_two(tmp_path / "run")


@pytest.mark.parametrize(
    ("words", "codes", "sentences"),
    [
        (["trainer.options.failing=[0, 1, 2]"], [1, 1, 1], [FAILURE, "", ""]),
        (["trainer.options.failing=[1]"], [1, 1, 1], ["", f"rank 1: {FAILURE}", ""]),
        (["--resume", "nowhere"], [2, 1, 1], [NO_RUN, "", ""]),
    ],
)
def test_an_error_is_said_once_and_nobody_waits(
    tmp_path: Path, words: list[str], codes: list[int], sentences: list[str]
) -> None:
    ended = by_slurm(tmp_path, 3, *words)
    assert [code for code, _ in ended] == codes
    assert [error.strip() for _, error in ended] == sentences


@pytest.mark.parametrize("how", ["save", "save, background"])
@pytest.mark.parametrize("failing", [0, 1])
def test_a_full_disk_ends_all_with_one_sentence(tmp_path: Path, failing: int, how: str) -> None:
    options = [f"trainer.options.failing=[{failing}]", f"trainer.options.how='{how}'"]
    ended = by_slurm(tmp_path, 2, *options, "--out", "run")
    assert [code for code, _ in ended] == [1, 1]
    (said,) = [line for _, error in ended for line in error.splitlines()]
    assert said.startswith(f"run/checkpoints/step-00000002.tmp: expected a disk that takes it, got {FULL}. ")
    assert said.endswith("go on with --resume run; step-00000001 is whole.")
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-00000001"]


def test_nobody_waits_for_a_process_that_was_killed(tmp_path: Path) -> None:
    (first, error), (second, _) = by_slurm(tmp_path, 2, "trainer.options.failing=[1]", "trainer.options.how=kill")
    assert (first, second) == (1, -signal.SIGKILL)
    assert error.startswith("rank 0: expected the 2 processes that meet at localhost:")
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(("failing", "how"), [(1, "stuck"), (0, "kill, stuck")])
def test_nobody_stays_stuck(tmp_path: Path, failing: int, how: str) -> None:
    """A killed process other than rank 0 is left to the launcher: no word of it comes."""
    options = [f"trainer.options.failing=[{failing}]", f"trainer.options.how='{how}'"]
    ended = by_slurm(tmp_path, 2, *options, program=IMPATIENT)
    code, error = ended[1 - failing]
    assert code == 1
    assert error.splitlines()[-1] == f"rank {1 - failing}: stopped, since another process of the run failed."


def test_alone_everything_is_the_identity() -> None:
    values = {"b": torch.ones(2), "a": torch.tensor(3)}
    with join() as ranks:
        assert (ranks.rank, ranks.size, ranks.local_rank, ranks.local_size) == (0, 1, 0, 1)
        assert ranks.is_first
        assert not dist.is_initialized()
        assert control_group() is None
        assert [agree(True), agree(False)] == [True, False]
        assert gather_objects("mine") == ["mine"]
        assert mean_over_ranks(values) == values
        barrier()


def test_a_group_of_one_is_left_also_after_an_error() -> None:
    def fail() -> None:
        with join("cpu", group_of_one=True) as ranks:
            assert ranks.size == dist.get_world_size() == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not dist.is_initialized()
    with join("cpu", group_of_one=True):
        assert agree(True)
    assert not dist.is_initialized()


def test_a_group_of_somebody_else_stays() -> None:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        with join("cpu"):
            pass
        assert dist.is_initialized()
    finally:
        dist.destroy_process_group()


@pytest.mark.parametrize(
    ("name", "size", "sentence"),
    [
        ("gpu0", 1, "device: expected 'auto', 'cpu', 'cuda' or another of torch's, got 'gpu0'."),
        ("cuda:1", 2, "device: expected 'cuda' without a number, got 'cuda:1'."),
    ],
)
def test_devices_that_are_none(name: str, size: int, sentence: str) -> None:
    with pytest.raises(InputError) as raised:
        device_of(name, Launch("", 0, size))
    assert str(raised.value).startswith(sentence)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without GPUs")
def test_without_a_gpu() -> None:
    assert device_of("auto", Launch("", 1, 2, 1)) == torch.device("cpu")
    with pytest.raises(InputError, match="device: expected one that this machine has, got 'cuda'"):
        device_of("cuda", Launch())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_with_a_gpu() -> None:
    with join(group_of_one=True) as ranks:
        assert ranks.device == torch.device("cuda", 0)
        assert agree(True)
        total = torch.ones(2, device=ranks.device)
        dist.all_reduce(total)
        assert total.tolist() == [1.0, 1.0]
    with pytest.raises(InputError, match="device: expected a GPU below number"):
        device_of(f"cuda:{torch.cuda.device_count()}", Launch())
