"""Two gloo ranks and one checkpoint: each hashes what is its own, and a share of what is read; all say the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import distributed as dist

from insighttok_ref.training import manifest
from insighttok_ref.training.checkpoint import Checkpoints, read_state
from regionloss.errors import WeightsError
from regionloss.runs import join

FILES = ["a.pt", "b.pt", "state.pt"]


def rank_main(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    hashed: list[str] = []
    sha256 = manifest.sha256

    def counted(path: Path) -> str:
        hashed.append(path.name)
        return sha256(path)

    manifest.sha256 = counted
    dist.init_process_group("gloo", f"file://{folder}/group", rank=rank, world_size=2)
    with join("cpu"):
        checkpoints = Checkpoints(folder / "checkpoints", background=True)
        checkpoints.save(1, {"weights": torch.ones(9)}, {FILES[rank]: {"rank": rank}})
        checkpoints.finish()
        told = {"saving": hashed.copy()}
        hashed.clear()
        newest = checkpoints.newest()
        assert read_state(newest)["weights"].sum() == 9
        told["reading"] = hashed.copy()
        dist.barrier()
        if rank == 0:
            torch.save({"rank": 2}, newest / "b.pt")
        dist.barrier()
        with pytest.raises(WeightsError) as caught:
            checkpoints.newest()
        checkpoints.close()
    (folder / f"{rank}.json").write_text(json.dumps({**told, "error": str(caught.value)}))
    dist.destroy_process_group()


def test_each_file_is_hashed_once_by_all_ranks_together(tmp_path: Path) -> None:
    torch.multiprocessing.start_processes(rank_main, (tmp_path,), nprocs=2, start_method="spawn")
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert sorted(first["saving"]) == ["a.pt", "state.pt"]
    assert second["saving"] == ["b.pt"]
    assert sorted(first["reading"] + second["reading"]) == FILES
    assert first["reading"]
    assert second["reading"]
    assert first["error"] == second["error"]
    assert "b.pt: expected the contents that were saved, got others" in first["error"]
