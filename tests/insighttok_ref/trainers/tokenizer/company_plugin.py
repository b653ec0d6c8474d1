"""A trainer whose processes write down what they learnt from one another, or fail as they are told."""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import nullcontext
from pathlib import Path
from unittest import mock

import torch
from torch import distributed as dist

from regionloss import hookimpl
from regionloss.errors import RegionLossError


class Company:
    def __init__(self, failing: list[int] = [], how: str = "sentence") -> None:  # noqa: B006
        self.failing, self.how = failing, how

    def run(self, run) -> None:
        from regionloss.runs.process_group import agree, barrier, gather_objects, join, mean_over_ranks

        with join("cpu") as ranks:
            if "save" in self.how:
                self.save(run.out, ranks.rank in self.failing)
            elif ranks.rank in self.failing:
                self.fail()
            if "stuck" in self.how:
                time.sleep(600)  # as on a GPU whose partner is gone
            values = {"a": torch.tensor(ranks.rank), "b": torch.tensor([[2.0 * ranks.rank, 1.0]])}
            said = {
                "ranks": [ranks.rank, ranks.size, ranks.local_rank, ranks.local_size, str(ranks.device)],
                "folder": str(run.out.resolve()),
                "written": (run.out / "resolved.yaml").is_file(),
                "agreed": [agree(ranks.rank == 1), agree(True), agree(False)],
                "gathered": gather_objects({"rank": ranks.rank, "names": ["x"] * ranks.rank}),
                "means": {name: mean.tolist() for name, mean in mean_over_ranks(values).items()},
                "gradients": self.averaged(ranks.rank),
                "left": [os.environ[name] for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")],
            }
            barrier()
            (run.out / f"rank{ranks.rank}.json").write_text(json.dumps(said))

    def save(self, out: Path, full: bool) -> None:
        from insighttok_ref.training.checkpoint import Checkpoints
        from regionloss.runs import agree
        from tests.full_disk import full_disk

        state = {"weights": torch.zeros(200_000)}
        checkpoints = Checkpoints(out / "checkpoints", background="background" in self.how)
        checkpoints.save(1, state, {f"{full}.pt": state})
        checkpoints.finish()
        with full_disk() if full else nullcontext():
            checkpoints.save(2, state, {f"{full}.pt": state})
            while not agree(checkpoints.failed):
                time.sleep(0.01)
            checkpoints.finish()

    def averaged(self, rank: int) -> list[list[float]]:
        """Average gradients in three buckets; return what was sent at once, then the means."""
        from insighttok_ref.training.gradient_buckets import GradientBuckets

        parameters = [torch.nn.Parameter(torch.zeros(size)) for size in (2, 3, 1, 3, 6, 1)]
        for number, parameter in enumerate(parameters[:-1]):  # one has none: it is frozen
            parameter.grad = torch.arange(len(parameter)) + 10.0 * number + 100.0 * rank
        with mock.patch.object(dist, "all_reduce", wraps=dist.all_reduce) as reduce:
            GradientBuckets(parameters, most=4).average()
        assert parameters[-1].grad is None
        sizes = [len(call.args[0]) for call in reduce.call_args_list]
        return [sizes, *[parameter.grad.tolist() for parameter in parameters[:-1]]]

    def fail(self) -> None:
        if "kill" in self.how:
            os.kill(os.getpid(), signal.SIGKILL)
        raise RegionLossError("data: expected images, got none.")


@hookimpl
def register_trainers(register) -> None:
    register("company", f"{__name__}:Company", summary="says who is there")
