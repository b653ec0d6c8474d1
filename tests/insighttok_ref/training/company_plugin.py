"""A trainer whose processes write down what they learnt from one another, or fail as they are told."""

from __future__ import annotations

import json
import os
import signal
import time

import torch

from regionloss import hookimpl
from regionloss.errors import RegionLossError


class Company:
    def __init__(self, failing: list[int] = [], how: str = "sentence") -> None:  # noqa: B006
        self.failing, self.how = failing, how

    def run(self, run) -> None:
        from insighttok_ref.training.distributed import agree, barrier, gather_objects, join, mean_over_ranks

        with join("cpu") as ranks:
            if ranks.rank in self.failing:
                self.fail()
            if "stuck" in self.how:
                time.sleep(60)  # as on a GPU whose partner is gone
            values = {"a": torch.tensor(ranks.rank), "b": torch.tensor([[2.0 * ranks.rank, 1.0]])}
            said = {
                "ranks": [ranks.rank, ranks.size, ranks.local_rank, ranks.local_size, str(ranks.device)],
                "folder": str(run.out.resolve()),
                "written": (run.out / "resolved.yaml").is_file(),
                "agreed": [agree(ranks.rank == 1), agree(True), agree(False)],
                "gathered": gather_objects({"rank": ranks.rank, "names": ["x"] * ranks.rank}),
                "means": {name: mean.tolist() for name, mean in mean_over_ranks(values).items()},
                "left": [os.environ[name] for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")],
            }
            barrier()
            (run.out / f"rank{ranks.rank}.json").write_text(json.dumps(said))

    def fail(self) -> None:
        if "kill" in self.how:
            os.kill(os.getpid(), signal.SIGKILL)
        raise RegionLossError("data: expected images, got none.")


@hookimpl
def register_trainers(register) -> None:
    register("company", f"{__name__}:Company", summary="says who is there")
