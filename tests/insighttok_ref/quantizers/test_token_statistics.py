"""What is kept of the tokens since the last update: every sum, and a fair share of them to restart codes from."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from insighttok_ref.quantizers.token_statistics import Gathered


def gather(restart: Any, pool_size: int, blocks: list[Tensor]) -> Gathered:
    gathered = Gathered(4, 1, restart, torch.device("cpu"))
    gathered.pool_size = pool_size
    for block in blocks:
        ids = torch.zeros(len(block), dtype=torch.int64)
        gathered.add(block[:, None], torch.zeros(len(block), 1), ids)
    return gathered


def test_many_tokens_are_all_counted_and_thinned_to_a_uniform_sample() -> None:
    blocks = list(torch.arange(2000.0).split(130))
    kept = torch.zeros(2000)
    for _ in range(300):
        gathered = gather("random", 100, blocks)
        assert gathered.seen == 2000
        assert gathered.sums[0].tolist() == [2000 * 1999 / 2, 2000]
        pool = gathered.pool()[:, 0].long()
        assert len(pool) == 100
        assert torch.equal(pool, pool.unique())  # no token twice, in the order of coming
        kept[pool] += 1 / 300
    # Each token has the same chance of 1 / 20, whichever forward it came in.
    torch.testing.assert_close(kept.view(4, -1).sum(1), torch.full((4,), 25.0), atol=1.2, rtol=0)


def test_the_farthest_of_many_tokens_are_kept() -> None:
    tokens = torch.randn(2000, generator=torch.Generator().manual_seed(3))
    gathered = gather("dist", 100, list(tokens.split(130)))
    far = gathered.distances().topk(100).values
    torch.testing.assert_close(far, tokens.square().topk(100).values)


def test_a_batch_of_the_paper_on_one_rank_is_kept_whole() -> None:
    """512 images x 256 tokens for 16384 codes, and twice that: a restart draws from every token."""
    gathered = Gathered(16384, 1, "random", torch.device("cpu"))
    block = torch.arange(4096.0)[:, None]
    for _ in range(64):
        gathered.add(block, block, torch.zeros(4096, dtype=torch.int64))
    assert len(gathered.pool()) == gathered.seen == 262_144
