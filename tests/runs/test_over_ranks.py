"""Work that three gloo ranks share: all get the whole of it; slow ranks are waited for, errors are raised on all."""

from __future__ import annotations

import io
import json
import socket
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
import torch

from regionloss.data.shards import ShardSet, find_shards
from regionloss.data.shards import tar_index as indices
from regionloss.errors import InputError
from regionloss.runs import Launch, collectives, join, over_ranks

RANKS, SHARDS, TIMEOUT = 3, 22, 1.0


def write_shards(folder: Path) -> None:
    for number in range(SHARDS):
        with tarfile.open(folder / f"{number:02d}.tar", "w") as archive:
            for image in range(number % 5):
                info = tarfile.TarInfo(f"{image}.jpg")
                info.size = 3
                archive.addfile(info, io.BytesIO(b"jpg"))


def free_port() -> int:
    with socket.socket() as here:
        here.bind(("127.0.0.1", 0))
        return int(here.getsockname()[1])


def renew_control_group(seconds: float) -> None:
    """Let ranks wait for one another for another time."""
    collectives.forget_control_group()
    collectives.control_group(timedelta(seconds=seconds))


def rank_main(rank: int, folder: str, port: int) -> None:
    torch.set_num_threads(1)
    scanned: list[str] = []
    scan = indices.scan

    def counted(path: str) -> indices.Index:
        scanned.append(path)
        return scan(path)

    def slow(items: Sequence[int]) -> Iterator[int]:
        if rank == 2:
            time.sleep(3 * TIMEOUT)
        return (item**2 for item in items)

    def failing(items: Sequence[int]) -> list[int]:
        if 1 in items:
            raise InputError("shard 1: expected a file, got nothing.")
        return list(items)

    def raised(work: Callable[[Sequence[int]], list[int]]) -> str:
        with pytest.raises(InputError) as error:
            over_ranks(work, range(9))
        return str(error.value)

    indices.scan = counted
    with join("cpu", launch=Launch("", rank, RANKS, rank, "127.0.0.1", port)):
        renew_control_group(TIMEOUT)
        shards = ShardSet(find_shards(f"{folder}/*.tar", Path(folder) / "cache"), over=over_ranks)
        told = {
            "lengths": shards.lengths,
            "paths": list(shards.heads),
            "scanned": scanned,
            "slow": over_ranks(slow, range(9)),
            "one": over_ranks(lambda items: [rank for _ in items], [0]),
            "error": raised(failing),
        }
        renew_control_group(600)  # of the barrier at the end
    Path(folder, f"{rank}.json").write_text(json.dumps(told), encoding="utf-8")


def test_shards_are_counted_by_all_ranks_together(tmp_path: Path) -> None:
    """A rank that takes three times as long as a step may take stops nobody."""
    write_shards(tmp_path)
    torch.multiprocessing.start_processes(rank_main, (str(tmp_path), free_port()), nprocs=RANKS, start_method="spawn")
    told = [json.loads((tmp_path / f"{rank}.json").read_text(encoding="utf-8")) for rank in range(RANKS)]
    paths = [str(tmp_path / f"{number:02d}.tar") for number in range(SHARDS)]
    for rank, said in enumerate(told):
        assert said["lengths"] == [number % 5 for number in range(SHARDS)]
        assert said["paths"] == paths
        assert sorted(said["scanned"]) == paths[rank::RANKS]
        assert said["slow"] == [n**2 for n in range(9)]
        assert said["one"] == [0]
        assert said["error"] == "shard 1: expected a file, got nothing."
    assert len(list((tmp_path / "cache").iterdir())) == SHARDS
