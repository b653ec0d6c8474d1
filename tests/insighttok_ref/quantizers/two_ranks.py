"""One of two processes of test_two_ranks.py: `two_ranks.py RANK FOLDER`."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist

from insighttok_ref.quantizers.ema import EMAQuantizer
from regionloss.errors import InputError

# Options, and the images of rank 0 and rank 1 in each forward; 0 is a forward that the rank does not have.
SCENARIOS: dict[str, tuple[dict[str, Any], list[tuple[int, int]]]] = {
    "restart": ({"restart_threshold": 1.0}, [(2, 2)]),
    "no-restart": ({"restart": "off"}, [(2, 2), (1, 1)]),
    "uneven": ({"restart_threshold": 1.0}, [(3, 1)]),
    "idle": ({"restart_threshold": 1.0}, [(2, 0)]),
    "idle-first": ({"restart_threshold": 1.0}, [(0, 2)]),
    "dist": ({"restart": "dist", "restart_threshold": 1.0}, [(3, 1)]),
    "plain": ({"l2_normalize": False, "restart_threshold": 1.0}, [(2, 2)]),
    "reset": ({"reset_restarted": True}, [(2, 2)]),
    "data": ({"init": "data"}, [(2, 2)]),
    "begin": ({"init": "data"}, [(2, 2)]),
    "tile": ({"restart_threshold": 1.0, "codebook_size": 128}, [(1, 1)]),
}


def batches(turn: int, images: tuple[int, int]) -> list[Tensor]:
    whole = torch.randn(sum(images), 4, 5, 5, generator=torch.Generator().manual_seed(turn))
    return list(whole.split(list(images)))


def build(name: str) -> EMAQuantizer:
    torch.manual_seed(7)
    return EMAQuantizer(**{"codebook_size": 16, "code_dim": 4, **SCENARIOS[name][0]})


def run(name: str, rank: int | None) -> dict[str, Tensor]:
    """Three updates; `rank` None sees the joint batch."""
    quantizer = build(name)
    torch.manual_seed(100 + (rank or 0))  # ranks draw differently, unless the first rank's draw is used
    for turn in range(3):
        for images in SCENARIOS[name][1]:
            parts = batches(turn, images)
            mine = torch.cat(parts) if rank is None else parts[rank]
            if name == "begin":
                quantizer.begin(mine.split(1))
            if len(mine):
                quantizer(mine)
        quantizer.update()
    stats = {f"stats/{name}": value for name, value in quantizer.stats().items()}
    return {key: value for key, value in quantizer.state_dict().items() if key != "codebook_used"} | stats


def main() -> None:
    rank, folder = int(sys.argv[1]), Path(sys.argv[2])
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    store = dist.FileStore(str(folder / "store"), 2)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=2)
    found: dict[str, Any] = {name: run(name, rank) for name in SCENARIOS}
    try:
        build("restart").update()
    except InputError as error:
        found["empty"] = str(error)
    torch.save(found, folder / f"rank{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
