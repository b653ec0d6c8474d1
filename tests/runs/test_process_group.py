"""What launchers put into the environment, as their manuals have it, and what goes wrong in it."""

from __future__ import annotations

import pytest

from regionloss.errors import InputError
from regionloss.runs.launch import Launch, is_first_process, node_names, read_launch

TORCHRUN = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "MASTER_ADDR": "a1", "MASTER_PORT": "29511"}
STEP = {
    "SLURM_JOB_ID": "4711",
    "SLURM_STEP_ID": "0",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
    "SLURM_NTASKS": "8",
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_JOB_NODELIST": "gpu[03-04]",
    "SLURM_STEP_NODELIST": "gpu[03-04]",
}
MPI = {
    "OMPI_COMM_WORLD_RANK": "1",
    "OMPI_COMM_WORLD_SIZE": "2",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
}
HYDRA = {"PMI_RANK": "1", "PMI_SIZE": "2", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "2"}


def without(variables: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in variables.items() if name not in names}


@pytest.mark.parametrize(
    ("environment", "launcher", "place"),
    [
        ({}, "", (0, 1, 0, "")),
        (TORCHRUN, "torchrun", (5, 8, 1, "a1")),
        ({**STEP, **TORCHRUN}, "torchrun", (5, 8, 1, "a1")),
        ({"RANK": "0", "WORLD_SIZE": "1"}, "torchrun", (0, 1, 0, "")),
        ({"RANK": "", "WORLD_SIZE": " "}, "", (0, 1, 0, "")),
        (STEP, "Slurm", (5, 8, 1, "gpu03")),
        (without(STEP, "SLURM_STEP_NODELIST", "SLURM_STEP_NUM_TASKS"), "Slurm", (5, 8, 1, "gpu03")),
        ({**STEP, "SLURM_STEP_NODELIST": "gpu04"}, "Slurm", (5, 8, 1, "gpu04")),
        ({**STEP, "MASTER_ADDR": "10.0.0.9"}, "Slurm", (5, 8, 1, "10.0.0.9")),
        (MPI, "Open MPI", (1, 2, 1, "127.0.0.1")),
        ({**MPI, "OMPI_COMM_WORLD_LOCAL_SIZE": "1", "MASTER_ADDR": "a1"}, "Open MPI", (1, 2, 1, "a1")),
        # mpirun inside an allocation: its daemons are Slurm's tasks, one a machine.
        ({**STEP, "SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2", **MPI}, "Open MPI", (1, 2, 1, "127.0.0.1")),
        (HYDRA, "MPI", (1, 2, 1, "127.0.0.1")),
        # srun --mpi=pmi2 sets PMI's variables beside its own.
        ({**STEP, "PMI_RANK": "5", "PMI_SIZE": "8"}, "Slurm", (5, 8, 1, "gpu03")),
    ],
)
def test_each_launcher(environment: dict[str, str], launcher: str, place: tuple[int, int, int, str]) -> None:
    launch = read_launch(environment)
    assert (launch.launcher, (launch.rank, launch.size, launch.local_rank, launch.address)) == (launcher, place)
    assert launch.note == ""
    assert is_first_process(environment) is (place[0] == 0)
    # What is exported for DeepSpeed and others says the same again.
    if launch.size > 1:
        again = read_launch(launch.variables)
        assert (again.rank, again.size, again.local_rank, again.address, again.port) == (*place, launch.port)


def test_all_ranks_of_a_job_meet_at_one_port_that_other_jobs_seldom_share() -> None:
    ports = {
        read_launch({**STEP, "SLURM_JOB_ID": str(job), "SLURM_PROCID": rank}).port for job in range(50) for rank in "07"
    }
    assert len(ports) > 45
    assert all(15000 <= port < 30000 for port in ports)
    assert read_launch({**STEP, "MASTER_PORT": "12345"}).port == 12345


@pytest.mark.parametrize(
    "changes",
    [
        {"SLURM_STEP_ID": "", "SLURM_STEP_NUM_TASKS": "", "SLURM_STEP_NODELIST": ""},  # the shell of sbatch or salloc
        {"SLURM_STEP_ID": "4294967290"},  # salloc with an interactive step
        {"SLURM_STEP_ID": "4294967291"},  # the step of a batch script
    ],
)
def test_a_shell_in_an_allocation_waits_for_nobody(changes: dict[str, str]) -> None:
    launch = read_launch({**STEP, "SLURM_PROCID": "0", **changes})
    assert launch.size == 1
    assert launch.note == (
        "Slurm's allocation has 8 tasks, but srun did not start this process: it runs alone. "
        "Start it with srun to use them all."
    )


def test_a_shell_with_one_task_is_nothing_to_speak_of() -> None:
    assert read_launch({"SLURM_JOB_ID": "1", "SLURM_PROCID": "0", "SLURM_NTASKS": "1"}) == Launch("Slurm")
    pty = {**STEP, "SLURM_PROCID": "0", "SLURM_NTASKS": "8", "SLURM_STEP_NUM_TASKS": "1"}
    assert read_launch(pty) == Launch("Slurm")


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        (without(TORCHRUN, "WORLD_SIZE"), "WORLD_SIZE: expected a whole number from 0 on, got nothing."),
        (without(TORCHRUN, "RANK"), "RANK: expected a whole number from 0 on, got nothing."),
        ({**TORCHRUN, "RANK": "x"}, "RANK: expected a whole number from 0 on, got 'x'."),
        ({**TORCHRUN, "RANK": "-1"}, "RANK: expected a whole number from 0 on, got '-1'."),
        ({**TORCHRUN, "RANK": "8"}, "RANK: expected a number below WORLD_SIZE=8, got 8."),
        ({"RANK": "0", "WORLD_SIZE": "0"}, "RANK: expected a number below WORLD_SIZE=0, got 0."),
        ({**TORCHRUN, "LOCAL_RANK": "9"}, "LOCAL_RANK: expected a number below the 8 processes of the run, got 9."),
        (without(TORCHRUN, "LOCAL_RANK"), "LOCAL_RANK: expected this process's number on its machine, got nothing."),
        (without(TORCHRUN, "MASTER_ADDR"), "MASTER_ADDR: expected the name of rank 0's machine, got nothing."),
        (without(TORCHRUN, "MASTER_PORT"), "MASTER_PORT: expected a port that is free on rank 0's machine"),
        ({**TORCHRUN, "MASTER_PORT": "70000"}, "MASTER_PORT: expected a port below 65536, got 70000."),
        (without(STEP, "SLURM_LOCALID"), "SLURM_LOCALID: expected a whole number from 0 on, got nothing."),
        ({**STEP, "SLURM_STEP_NUM_TASKS": "5"}, "SLURM_PROCID: expected a number below SLURM_STEP_NUM_TASKS=5, got 5."),
        ({**STEP, "SLURM_STEP_NODELIST": "gpu[03-"}, "node list: expected names such as host[01-04,7], got 'gpu[03-'."),
        ({**MPI, "OMPI_COMM_WORLD_LOCAL_SIZE": "1"}, "MASTER_ADDR: expected the name of rank 0's machine"),
    ],
)
def test_what_makes_no_sense_is_a_sentence(environment: dict[str, str], sentence: str) -> None:
    with pytest.raises(InputError) as raised:
        read_launch(environment)
    assert str(raised.value).startswith(sentence)
    assert is_first_process(environment)


@pytest.mark.parametrize(
    ("nodes", "names"),
    [
        # Each as `scontrol show hostnames` prints it (manual of Slurm, hostlist expressions).
        ("login1", ["login1"]),
        ("host[01-03,7]", ["host01", "host02", "host03", "host7"]),
        ("a[1-2],b,c[09-11]", ["a1", "a2", "b", "c09", "c10", "c11"]),
        ("rack[1-2]n[3,5]", ["rack1n3", "rack1n5", "rack2n3", "rack2n5"]),
        ("n-1-[098-101].site", ["n-1-098.site", "n-1-099.site", "n-1-100.site", "n-1-101.site"]),
    ],
)
def test_node_lists(nodes: str, names: list[str]) -> None:
    assert node_names(nodes) == names


@pytest.mark.parametrize("nodes", ["", "a[", "a[1-", "a[]", "a[3-1]", "a[1-2-3]", "a,,b", "a[x]", "a b"])
def test_node_lists_that_are_none(nodes: str) -> None:
    with pytest.raises(InputError, match="node list: expected"):
        node_names(nodes)
