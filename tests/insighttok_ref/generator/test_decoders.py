"""Decoders on a model whose sequences can all be counted."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from insighttok_ref.generator import decoders
from insighttok_ref.generator.decoders import DECODERS, decode
from insighttok_ref.generator.noise import TOKEN, exponentials
from regionloss.errors import UnknownNameError
from tests.insighttok_ref.generator.table import K, N, Table, number

SAMPLES = 50_000


def surprise(ids: Tensor, joint: Tensor) -> float:
    """Return by how many standard deviations chi-square lies above its mean; rare sequences count as one."""
    counts, wanted = torch.bincount(number(ids), minlength=len(joint)).double(), joint * len(ids)
    often = wanted >= 5
    pairs = [(counts[often], wanted[often]), (counts[~often].sum()[None], wanted[~often].sum()[None])]
    chi = sum(float(((c - w).square() / w).sum()) for c, w in pairs)
    degrees = int(often.sum())
    return (chi - degrees) / (2 * degrees) ** 0.5


@pytest.mark.parametrize(
    ("decoder", "sharp", "window"),
    [("plain", 1.0, 1), ("jacobi", 1.0, 4), ("jacobi", 2.5, 3), ("coupled", 1.0, 4), ("coupled", 2.5, 3)],
)
def test_sequences_have_the_models_own_distribution(decoder: str, sharp: float, window: int) -> None:
    table = Table(SAMPLES, sharp)
    decoded = decode(table, table.first(), N, torch.arange(SAMPLES), decoder, window)
    assert abs(surprise(decoded.ids, table.joint())) < 4
    fewer = decoded.forwards.double().mean() < 0.95 * N
    assert fewer == (decoder != "plain")


def test_grouped_acceptance_has_another_distribution() -> None:
    table = Table(3000, 1.0)
    codes = torch.ones(K, 2)
    decoded = decode(table, table.first(), N, torch.arange(3000), "grouped", 4, codebook=codes)
    assert surprise(decoded.ids, table.joint()) > 10
    exact = decode(table, table.first(), N, torch.arange(3000), "coupled", 4)
    assert decoded.forwards.sum() < exact.forwards.sum()


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("window", [1, 2, 16])
def test_the_likeliest_ids_are_those_of_plain_decoding(decoder: str, window: int) -> None:
    def greedy(table: Table, ids: Tensor, starts: Tensor) -> Tensor:
        return torch.eye(K)[table(ids, starts).argmax(-1)]

    table, seeds = Table(5, 1.0), torch.arange(5)
    first = torch.eye(K)[[0, 1, 2, 3, 0]]
    wanted = decode(lambda ids, starts: greedy(table, ids, starts), first, N, seeds, "plain").ids
    assert len(wanted.unique(dim=0)) > 1
    codes = torch.eye(K)  # no two are alike
    found = decode(lambda ids, starts: greedy(table, ids, starts), first, N, seeds, decoder, window, codebook=codes)
    assert found.ids.equal(wanted)


def test_coupled_noise_is_drawn_once_a_position(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def counted(seeds: Tensor, positions: Tensor, turn: int, size: int, purpose: int = TOKEN) -> Tensor:
        noise = exponentials(seeds, positions, turn, size, purpose)
        drawn.append(noise[..., 0].numel() if purpose == TOKEN else 0)
        return noise

    monkeypatch.setattr(decoders, "exponentials", counted)
    table = Table(20, 1.0)
    decoded = decode(table, table.first(), N, torch.arange(20), "coupled", 4)
    assert decoded.forwards.max() > 3  # whose windows overlap
    assert sum(drawn) == 20 * (N + 4)


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_seed_decides_its_image_whatever_the_batch(decoder: str) -> None:
    def ids(seeds: Tensor) -> Tensor:
        table = Table(len(seeds), 1.0)
        return decode(table, table.first(), N, seeds, decoder, 4, codebook=torch.eye(K)).ids

    many = torch.tensor([3, 2**40, -7, 3, 0])
    batch = ids(many)
    assert len(batch.unique(dim=0)) > 2
    for row, seed in enumerate(many):
        assert ids(seed[None]).equal(batch[row : row + 1])


def test_images_of_one_id() -> None:
    table = Table(2, 1.0)
    for decoder in DECODERS:
        decoded = decode(table, table.first(), 1, torch.arange(2), decoder, codebook=torch.eye(K))
        assert decoded.ids.shape == (2, 1)
        assert decoded.forwards.tolist() == [1, 1]


def test_an_unknown_decoder_is_a_sentence() -> None:
    table = Table(1, 1.0)
    with pytest.raises(UnknownNameError, match=r"no decoder is named 'jacobian'. Did you mean 'jacobi'"):
        decode(table, table.first(), N, torch.zeros(1, dtype=torch.long), "jacobian")
