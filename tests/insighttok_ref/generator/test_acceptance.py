"""Rules of acceptance against plain loops."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from insighttok_ref.generator.acceptance import ALIKE, NEAR, NEIGHBOURS, exact, grouped, residual


def window(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    p, q = (torch.randn(2, 3, 40, generator=generator).softmax(-1) for _ in range(2))
    return p, q, torch.randint(40, (2, 3), generator=generator)


def test_a_kept_or_redrawn_draft_has_the_models_distribution() -> None:
    p, q, _ = (one.double() for one in window())
    kept = [exact(p, q, torch.full((2, 3), code)).clamp(max=1) for code in range(40)]
    of_drafts = q * torch.stack(kept, -1)
    fallen = 1 - of_drafts.sum(-1, keepdim=True)
    torch.testing.assert_close(of_drafts + fallen * residual(p, q), p)


def test_nothing_is_left_where_both_are_equal() -> None:
    p, _, _ = window()
    assert residual(p, p).equal(p)


def test_groups_are_those_of_a_plain_loop() -> None:
    p, q, drafts = window()
    codebook = torch.randn(40, 3, generator=torch.Generator().manual_seed(2))
    codes = F.normalize(codebook, dim=-1)
    found, sizes = grouped(codebook)(p, q, drafts), set()
    for row in range(2):
        for at in range(3):
            draft = int(drafts[row, at])
            order = sorted(range(40), key=lambda code: -float(p[row, at, code]))
            rank = order.index(draft)
            around = order[max(0, rank - NEIGHBOURS) : rank + NEIGHBOURS + 1]
            group = [
                code
                for code in around
                if abs(p[row, at, code] - p[row, at, draft]) < NEAR and (codes[code] - codes[draft]).norm() < ALIKE
            ]
            sizes.add(len(group))
            wanted = p[row, at, group].sum() / q[row, at, group].sum()
            torch.testing.assert_close(found[row, at], wanted)
    assert len(sizes) > 1
