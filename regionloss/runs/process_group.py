"""Several processes as one run: joining, leaving, and what they tell one another."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

from regionloss.compat.torch import abort_process_group
from regionloss.errors import InputError, LostProcessError, expected
from regionloss.runs.collectives import control_group, forget_control_group, rank_and_size
from regionloss.runs.launch import Launch, read_launch

S = TypeVar("S")
T = TypeVar("T")

#: How the connections' errors begin, of gloo and of NCCL.
LOST = re.compile(r"gloo/|Connection closed by peer|NCCL")
TIMEOUT = timedelta(minutes=10)


@dataclass(frozen=True)
class Ranks:
    """This process among those of the run.

    Args:
        rank: Number of this process, from 0.
        size: Number of processes.
        local_rank: Number of this process on its machine, from 0.
        local_size: Number of processes on its machine.
        device: Device on which this process computes.
    """

    rank: int
    size: int
    local_rank: int
    local_size: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether it is the one that writes and prints."""
        return self.rank == 0


@contextmanager
def join(
    device: str = "auto", *, timeout: timedelta = TIMEOUT, group_of_one: bool = False, launch: Launch | None = None
) -> Iterator[Ranks]:
    """Join the processes that a launcher started, and leave them again, also after an error.

    With a GPU each rank takes the one of its local number, and NCCL carries what lies there; all else goes over gloo.
    A single process makes no group. A group that somebody else has made is used, and left to him.

    Nobody waits for a rank that failed: those that wait for it over gloo fail at once, since its connections break;
    those that wait on a GPU are stopped by their launcher (torchrun, deepspeed, srun --kill-on-bad-exit), by
    `regionloss train` half a minute later, or at the latest after `timeout`.

    Args:
        device: `auto` (a GPU where there is one), `cpu`, `cuda`; for a single process any device of torch.
        timeout: Longest time for which a rank waits for another one, also at the end: what rank 0 does alone for longer
            (a report) belongs behind the `with`.
        group_of_one: Whether a single process makes a group, too (DeepSpeed needs one).
        launch: Place of this process in the run; read from the environment by default.

    Raises:
        InputError: The launcher's variables contradict one another, or there is no such device.
        LostProcessError: Another process ended, cannot be reached, or does not answer.
    """
    launch = launch or read_launch()
    made = not dist.is_initialized() and (launch.size > 1 or group_of_one)
    if dist.is_initialized():
        launch = Launch("", *rank_and_size(), launch.local_rank)
    chosen = device_of(device, launch)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    if made:
        _make_group(chosen, launch, timeout)
    try:
        yield _ranks(chosen, launch, timeout)
        if made:
            # Whoever leaves first would take the connections of those that still read from it.
            barrier()
    except BaseException as error:
        if made and chosen.type == "cuda":
            # To destroy the group would be to wait for collectives that never end.
            made = False
            with suppress(RuntimeError):
                abort_process_group()
        if launch.size > 1 and isinstance(error, RuntimeError) and LOST.search(str(error)):
            raise _lost(launch, timeout, error) from error
        raise
    finally:
        if made:
            forget_control_group()
            dist.destroy_process_group()


def device_of(name: str, launch: Launch) -> torch.device:
    """Return the device of a rank.

    Raises:
        InputError: There is no such device, or not one for each rank of this machine.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(expected("device", "'auto', 'cpu', 'cuda' or another of torch's", f"'{name}'")) from None
    if launch.size > 1 and device.index is not None:
        advice = "Several processes each take the one of their local number."
        raise InputError(expected("device", f"'{device.type}' without a number", f"'{name}'", advice))
    if device.type != "cuda":
        return device
    count = torch.cuda.device_count()
    if not count:
        raise InputError(expected("device", "one that this machine has", f"'{name}'", "Say 'cpu', or 'auto'."))
    # A launcher may show each process one GPU alone: its number is 0 for all of them.
    index = device.index if device.index is not None else launch.local_rank if count > 1 else 0
    if index >= count:
        raise InputError(expected("device", f"a GPU below number {count} on this machine", f"number {index}"))
    return torch.device("cuda", index)


def _make_group(device: torch.device, launch: Launch, timeout: timedelta) -> None:
    # DeepSpeed and others read torchrun's names, whoever launched.
    os.environ.update(launch.variables)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    if launch.size == 1:
        store = dist.HashStore()  # type: ignore[attr-defined]
        dist.init_process_group(backend, store=store, rank=0, world_size=1, timeout=timeout)
        return
    try:
        dist.init_process_group(backend, rank=launch.rank, world_size=launch.size, timeout=timeout)
    except (dist.DistNetworkError, dist.DistStoreError, TimeoutError) as error:
        raise _lost(launch, timeout, error) from error


def _lost(launch: Launch, timeout: timedelta, error: Exception) -> LostProcessError:
    wanted = f"the {launch.size} processes that meet at {launch.address}:{launch.port} to answer"
    advice = f"One of them ended, cannot be reached, or took more than {timeout.total_seconds():g} s."
    return LostProcessError(expected(f"rank {launch.rank}", wanted, str(error).splitlines()[0].rstrip("."), advice))


def _ranks(device: torch.device, launch: Launch, timeout: timedelta) -> Ranks:
    if launch.size == 1:
        return Ranks(0, 1, launch.local_rank, 1, device)
    control_group(timeout)
    control_group(patient=True, beside=True)  # here all ranks pass by in one order, which threads do not
    card = str(torch.cuda.get_device_properties(device).uuid) if device.type == "cuda" else ""
    mine = (socket.gethostname(), card)
    everyone = gather_objects(mine)
    sharing = [rank for rank, other in enumerate(everyone) if card and other == mine]
    if len(sharing) > 1:
        advice = "Start no more processes on a machine than it has GPUs."
        got = f"ranks {', '.join(map(str, sharing))} on one of {mine[0]}"
        raise InputError(expected("device", "a GPU for each process", got, advice))
    neighbours = [rank for rank, (host, _) in enumerate(everyone) if host == mine[0]]
    return Ranks(launch.rank, launch.size, launch.local_rank, len(neighbours), device)


def barrier() -> None:
    """Wait until every rank is here."""
    if (group := control_group()) is not None:
        dist.barrier(group=group)


def agree(flag: bool) -> bool:
    """Whether any rank says so. No device is waited for: it may be asked at each step."""
    if (group := control_group()) is None:
        return flag
    said = torch.tensor(flag, dtype=torch.int32)
    dist.all_reduce(said, dist.ReduceOp.MAX, group=group)
    return bool(said)


def gather_objects(obj: T, *, patient: bool = False, beside: bool = False) -> list[T]:
    """Return every rank's (small, picklable) object, by rank.

    Args:
        obj: What this rank gives to all.
        patient: Whether ranks wait for one another for hours, where what comes before takes long on some of them.
        beside: Whether threads beside those that train ask, one a rank.
    """
    if (group := control_group(patient=patient, beside=beside)) is None:
        return [obj]
    found: list[Any] = [None] * rank_and_size()[1]
    dist.all_gather_object(found, obj, group=group)
    return found


def over_ranks(work: Callable[[Sequence[S]], Iterable[T]], items: Sequence[S], *, beside: bool = False) -> list[T]:
    """Return what becomes of each item, of which every rank does its share, and gets all; the ranks wait for hours.

    Args:
        work: What becomes of some items (small, picklable), in order. What it raises on any rank is raised on all.
        items: The same on all ranks; a single one is the first rank's.
        beside: Whether threads beside those that train share the work, one a rank.
    """
    rank, size = rank_and_size()
    share: list[T] | Exception
    try:
        share = list(work(items[rank::size])) if rank < len(items) else []
    except Exception as error:
        if size == 1:
            raise
        share = error
    whole: list[Any] = [None] * len(items)
    for number, part in enumerate(gather_objects(share, patient=True, beside=beside)):
        if isinstance(part, Exception):
            raise part
        whole[number::size] = part
    return whole


def mean_over_ranks(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the means over the ranks, in one collective; nothing is read back from the device.

    Args:
        values: Real tensors of the same names and shapes on all ranks, all on one device.
    """
    size = rank_and_size()[1]
    if size == 1 or not values:
        return dict(values)
    names = sorted(values)
    parts = [values[name].detach() for name in names]
    wide = torch.float64 if any(part.dtype == torch.float64 for part in parts) else torch.float32
    flat = torch.cat([part.reshape(-1).to(wide) for part in parts])
    # gloo cannot average.
    dist.all_reduce(flat, group=None if flat.is_cuda else control_group())
    pieces = torch.split(flat / size, [part.numel() for part in parts])
    means = {name: piece.view(part.shape) for name, part, piece in zip(names, parts, pieces, strict=True)}
    return {name: means[name] for name in values}
