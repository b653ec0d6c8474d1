"""Nearest codes and sums by code, against matrices written out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from insighttok_ref.quantizers import nearest as search


def latents(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_search_agrees_with_brute_force(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens, codes = latents(0, 1000, 8), latents(1, 77, 8)
    wanted = torch.cdist(tokens.double(), codes.double()).argmin(1)
    monkeypatch.setattr(search, "SEARCH_ELEMENTS", 77 * 13)
    assert torch.equal(search.nearest(tokens, codes), wanted)


def test_ties_go_to_the_lowest_code() -> None:
    codes = torch.eye(4)[[2, 1, 1, 0]]
    assert search.nearest(torch.eye(4)[[1]], codes).tolist() == [1]


def test_sums_agree_with_a_one_hot_matrix() -> None:
    tokens, ids = latents(0, 500, 8), torch.randint(0, 20, (500,))
    sums = torch.zeros(20, 9, dtype=torch.float64)
    search.add_rows(sums, ids, tokens)
    one_hot = (ids[:, None] == torch.arange(20)).double()
    torch.testing.assert_close(sums[:, :-1], one_hot.t() @ tokens.double(), atol=1e-12, rtol=0)
    assert torch.equal(sums[:, -1], one_hot.sum(0))
