"""Where this process stands among those that a launcher started, read from the environment; imports no torch."""

from __future__ import annotations

import itertools
import os
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from regionloss.errors import InputError, expected

Environment = Mapping[str, str]

STEP_VARIABLES = ("SLURM_STEP_ID", "SLURM_STEPID", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_NODELIST")
#: Slurm numbers the steps of batch scripts and of interactive shells from here on.
FIRST_SPECIAL_STEP = 0xFFFFFFF0
DEFAULT_PORT = 29500


@dataclass(frozen=True)
class Launch:
    """One process of a run.

    Args:
        launcher: Whose variables were read; empty where there is none.
        rank: Number of this process, from 0.
        size: Number of processes.
        local_rank: Number of this process on its machine, from 0.
        address: Machine of rank 0; empty for a single process.
        port: Port on it where the processes meet; 0 for a single process.
        note: What a user may be surprised by, a sentence; or empty.
    """

    launcher: str = ""
    rank: int = 0
    size: int = 1
    local_rank: int = 0
    address: str = ""
    port: int = 0
    note: str = ""

    @property
    def variables(self) -> dict[str, str]:
        """The same as torchrun would say it, which is what libraries read; empty for a single process."""
        if self.size == 1:
            return {}
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
        values = (self.rank, self.size, self.local_rank, self.address, self.port)
        return dict(zip(names, map(str, values), strict=True))


def read_launch(environment: Environment | None = None) -> Launch:
    """Read what torchrun, DeepSpeed, Open MPI, MPICH (or Intel MPI) or Slurm say; without any, a single process.

    Args:
        environment: Variables; the process's own by default.

    Raises:
        InputError: Variables that are missing, no numbers, or contradict one another.
    """
    given = os.environ if environment is None else environment
    env = {name: value for name, value in given.items() if value.strip()}
    # mpirun inside a Slurm allocation leaves both in the environment: the inner launcher counts.
    for applies, read in (
        ("RANK" in env or "WORLD_SIZE" in env, _torchrun),
        ("OMPI_COMM_WORLD_RANK" in env or "OMPI_COMM_WORLD_SIZE" in env, _open_mpi),
        ("PMI_RANK" in env and "MPI_LOCALRANKID" in env, _mpich),
        ("SLURM_PROCID" in env or "SLURM_STEP_ID" in env, _slurm),
    ):
        if applies:
            return read(env)
    return Launch()


def is_first_process(environment: Environment | None = None) -> bool:
    """Whether this process speaks for the run; also where the launcher's variables make no sense."""
    try:
        return read_launch(environment).rank == 0
    except InputError:
        return True


def node_names(nodes: str) -> list[str]:
    """Return the machines of Slurm's `host[01-03,7],login`: host01, host02, host03, host7, login.

    Raises:
        InputError: It cannot be read.
    """
    if not re.fullmatch(r"(?:[^\[\],\s]|\[[\d,-]+\])+(?:,(?:[^\[\],\s]|\[[\d,-]+\])+)*", nodes):
        raise InputError(expected("node list", "names such as host[01-04,7]", f"'{nodes}'"))
    return [name for part in re.findall(r"(?:[^\[\],]|\[[^\]]*\])+", nodes) for name in _names(part)]


def _names(part: str) -> Iterator[str]:
    """Yield the names of one `rack[1-2]-host[01-04,7]`."""
    pieces = re.split(r"\[([^\]]*)\]", part)
    choices = [list(_numbers(piece)) if number % 2 else [piece] for number, piece in enumerate(pieces)]
    return map("".join, itertools.product(*choices))


def _numbers(ranges: str) -> Iterator[str]:
    for piece in ranges.split(","):
        first, _, last = piece.partition("-")
        if not first.isdigit() or not (last or first).isdigit() or int(last or first) < int(first):
            raise InputError(expected("node list", "a range such as 01-04", f"'{piece}'"))
        for number in range(int(first), int(last or first) + 1):
            yield str(number).zfill(len(first))


def _torchrun(env: Environment) -> Launch:
    rank, size = _rank_and_size(env, "RANK", "WORLD_SIZE")
    if size == 1:
        return Launch("torchrun")
    if not env.get("LOCAL_RANK"):
        advice = "Set LOCAL_RANK=0 where each machine has one process, or start with torchrun."
        raise InputError(expected("LOCAL_RANK", "this process's number on its machine", "nothing", advice))
    address, port = _meeting_point(env, "", None)
    return Launch("torchrun", rank, size, _local(env, "LOCAL_RANK", size), address, port)


def _open_mpi(env: Environment) -> Launch:
    rank, size = _rank_and_size(env, "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE")
    if size == 1:
        return Launch("Open MPI")
    local_rank = _local(env, "OMPI_COMM_WORLD_LOCAL_RANK", size)
    one_machine = env.get("OMPI_COMM_WORLD_LOCAL_SIZE") == str(size)
    job = env.get("PMIX_NAMESPACE") or env.get("OMPI_MCA_ess_base_jobid") or ""
    address, port = _meeting_point(env, "127.0.0.1" if one_machine else _first_node(env), job)
    return Launch("Open MPI", rank, size, local_rank, address, port)


def _mpich(env: Environment) -> Launch:
    rank, size = _rank_and_size(env, "PMI_RANK", "PMI_SIZE")
    if size == 1:
        return Launch("MPI")
    local_rank = _local(env, "MPI_LOCALRANKID", size)
    one_machine = env.get("MPI_LOCALNRANKS") == str(size)
    address, port = _meeting_point(env, "127.0.0.1" if one_machine else _first_node(env), "")
    return Launch("MPI", rank, size, local_rank, address, port)


def _slurm(env: Environment) -> Launch:
    tasks = "SLURM_STEP_NUM_TASKS" if "SLURM_STEP_NUM_TASKS" in env else "SLURM_NTASKS"
    if not _in_step(env):
        # A batch script and a shell of salloc carry the allocation's counts, but nobody else was started.
        count = env.get("SLURM_NTASKS", "1")
        note = f"Slurm's allocation has {count} tasks, but srun did not start this process: it runs alone."
        return Launch("Slurm", note="" if count == "1" else f"{note} Start it with srun to use them all.")
    rank, size = _rank_and_size(env, "SLURM_PROCID", tasks)
    if size == 1:
        return Launch("Slurm")
    job = f"{env.get('SLURM_JOB_ID') or env.get('SLURM_JOBID', '')}.{env.get('SLURM_STEP_ID', '')}"
    address, port = _meeting_point(env, _first_node(env), job)
    return Launch("Slurm", rank, size, _local(env, "SLURM_LOCALID", size), address, port)


def _in_step(env: Environment) -> bool:
    """Whether srun started this process as one of a step's tasks."""
    if env.get("SLURM_PROCID", "0") != "0":
        return True
    step = env.get("SLURM_STEP_ID", env.get("SLURM_STEPID", "0"))
    special = step.isdigit() and int(step) >= FIRST_SPECIAL_STEP
    return not special and any(name in env for name in STEP_VARIABLES)


def _first_node(env: Environment) -> str:
    for name in ("SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST", "SLURM_NODELIST"):
        if env.get(name):
            return node_names(env[name])[0]
    return ""


def _meeting_point(env: Environment, address: str, job: str | None) -> tuple[str, int]:
    """Return MASTER_ADDR and MASTER_PORT; without them `address`, and a port that is the job's own."""
    address = env.get("MASTER_ADDR") or address
    if not address:
        advice = "Set it to the machine of rank 0 for every process."
        raise InputError(expected("MASTER_ADDR", "the name of rank 0's machine", "nothing", advice))
    if env.get("MASTER_PORT"):
        port = _number(env, "MASTER_PORT")
        if not 0 < port < 2**16:
            raise InputError(expected("MASTER_PORT", "a port below 65536", str(port)))
        return address, port
    if job is None:
        raise InputError(expected("MASTER_PORT", "a port that is free on rank 0's machine", "nothing"))
    # Below the ports that systems hand out by themselves; two jobs on one machine seldom share one.
    return address, 15000 + zlib.crc32(job.encode()) % 15000 if job.strip(".") else DEFAULT_PORT


def _rank_and_size(env: Environment, rank: str, size: str) -> tuple[int, int]:
    number, count = _number(env, rank), _number(env, size)
    if number >= count:
        raise InputError(expected(rank, f"a number below {size}={count}", str(number)))
    return number, count


def _local(env: Environment, name: str, size: int) -> int:
    number = _number(env, name)
    if number >= size:
        raise InputError(expected(name, f"a number below the {size} processes of the run", str(number)))
    return number


def _number(env: Environment, name: str) -> int:
    text = env.get(name, "").strip()
    if not (text.isascii() and text.isdigit()):
        advice = "The launcher sets it; unset what an earlier one left in the environment."
        raise InputError(expected(name, "a whole number from 0 on", f"'{text}'" if text else "nothing", advice))
    return int(text)
