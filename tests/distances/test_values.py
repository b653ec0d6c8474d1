"""The distances against loops over regions, levels and positions in NumPy (float64, 1e-10), and their contract."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import regionloss as rl
from regionloss.distances import CTC, KL, L1, Cosine, Distance, Gram, SquaredL2, WeightedSum
from regionloss.testing.contracts import DistanceContract

Vector = Any


def l1(f: Vector, t: Vector) -> float:
    return float(np.abs(f - t).sum())


def unit_l1(f: Vector, t: Vector) -> float:
    return l1(f / np.linalg.norm(f), t / np.linalg.norm(t))


def cosine(f: Vector, t: Vector) -> float:
    return float(1 - f @ t / (np.linalg.norm(f) * np.linalg.norm(t)))


def divergence(f: Vector, t: Vector) -> float:
    ours, theirs = (np.exp(v) / np.exp(v).sum() for v in (f, t))
    return float(sum(p * math.log(p / q) for p, q in zip(theirs, ours, strict=True)))


def by_positions(pair: Callable[[Vector, Vector], float]) -> Callable[[Any, Any], float]:
    def levels(features: Any, targets: Any) -> float:
        means = []
        for f, t in zip(features, targets, strict=True):
            columns = zip(f.reshape(len(f), -1).T, t.reshape(len(t), -1).T, strict=True)
            means.append(np.mean([pair(a, b) for a, b in columns]))
        return float(np.mean(means))

    return levels


def grams(features: Any, targets: Any) -> float:
    values = []
    for f, t in zip(features, targets, strict=True):
        channels, positions = len(f), int(np.prod(f.shape[1:]))
        total = 0.0
        for i in range(channels):
            for j in range(channels):
                ours, theirs = (float((v[i] * v[j]).sum()) / (channels * positions) for v in (f, t))
                total += (ours - theirs) ** 2
        values.append(total)
    return float(np.mean(values))


DISTANCES: dict[str, tuple[Distance, Callable[[Any, Any], float]]] = {
    "l1": (L1(), by_positions(l1)),
    "unit l1": (L1(normalised=True, eps=0), by_positions(unit_l1)),
    "cosine": (Cosine(of="levels", eps=0), by_positions(cosine)),
    "kl": (KL(of="levels"), by_positions(divergence)),
    "gram": (Gram(), grams),
    "sum": (
        WeightedSum([(2.0, L1()), (0.5, WeightedSum([(3.0, Gram())]))]),
        lambda f, t: 2 * by_positions(l1)(f, t) + 1.5 * grams(f, t),
    ),
}


def features(seed: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(s, generator=generator, dtype=torch.float64) for s in ((3, 5, 4, 6), (3, 4, 7), (3, 6)))


@pytest.mark.parametrize("name", DISTANCES)
def test_agree_with_a_plain_loop(name: str) -> None:
    distance, loop = DISTANCES[name]
    ours, theirs = features(0), features(1)
    expected = [loop([f[n].numpy() for f in ours], [t[n].numpy() for t in theirs]) for n in range(3)]
    torch.testing.assert_close(
        distance(ours, theirs), torch.tensor(expected, dtype=torch.float64), atol=1e-10, rtol=1e-10
    )


class TestL1(DistanceContract):
    def make(self) -> Distance:
        return L1()


class TestUnitL1(DistanceContract):
    def make(self) -> Distance:
        return L1(normalised=True)


class TestCosine(DistanceContract):
    def make(self) -> Distance:
        return Cosine(of="levels")


class TestGram(DistanceContract):
    def make(self) -> Distance:
        return Gram()


class TestKL(DistanceContract):
    def make(self) -> Distance:
        return KL(of="levels")


class TestWeightedSum(DistanceContract):
    def make(self) -> Distance:
        return WeightedSum([(1.0, SquaredL2()), (0.5, Gram())])


LABELS = torch.tensor([[1, 2, -1], [2, 2, 1], [-1, -1, -1]])


def probability(logits: Any, text: list[int]) -> float:
    """Sum over every path of classes that spells the text: repeats once, then no blanks."""
    steps = np.exp(logits) / np.exp(logits).sum(0)
    total = 0.0
    for path in np.ndindex(*[steps.shape[0]] * steps.shape[1]):
        runs = [c for i, c in enumerate(path) if i == 0 or c != path[i - 1]]
        if [c for c in runs if c] == text:
            total += float(np.prod([steps[c, i] for i, c in enumerate(path)]))
    return total


def test_ctc_counts_every_path() -> None:
    logits = torch.randn(3, 3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = [-math.log(probability(logits[n].numpy(), t)) / len(t) for n, t in ((0, [1, 2]), (1, [2, 2, 1]))]
    torch.testing.assert_close(CTC()((logits,), (logits,), LABELS), torch.tensor([*expected, 0.0], dtype=torch.float64))


def test_ctc_has_the_gradient_of_its_value() -> None:
    logits = torch.randn(3, 3, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: CTC()((x,), (x,), LABELS), logits)


@pytest.mark.parametrize("labels", [None, LABELS[2:].expand(3, 3), LABELS[:, :0], torch.ones(3, 9).long()])
def test_ctc_without_a_text_that_fits_is_zero(labels: Tensor | None) -> None:
    logits = torch.randn(3, 3, 5, requires_grad=True)
    value = CTC()((logits,), (logits,), labels)
    assert value.shape == (3,)
    assert not value.any()
    (gradient,) = torch.autograd.grad(value.sum(), logits)
    assert not gradient.any()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Cosine(of="vector"), r"^cosine\.of: expected 'levels', 'embedding' or 'logits', got 'vector'"),
        (lambda: L1(of=""), r"^l1\.of: expected"),
        (lambda: KL(of=1), r"^kl\.of: expected"),
        (lambda: WeightedSum([]), r"^parts: expected pairs of a weight and a distance"),
        (lambda: WeightedSum([SquaredL2()]), r"^parts: expected pairs of a weight and a distance"),
        (lambda: WeightedSum([(1.0, "l1")]), r"^parts: expected pairs of a weight and a distance"),
        (lambda: WeightedSum([(-1.0, L1())]), r"^parts: expected weights of 0 or more, got -1"),
        (lambda: WeightedSum([(math.nan, L1())]), r"^parts: expected weights of 0 or more, got nan"),
        (
            lambda: WeightedSum([(1.0, KL())])((), ()),
            r"^weighted-sum: expected distances of levels, got one of its",
        ),
    ],
)
def test_wrong_options_are_sentences(make: Callable[[], object], sentence: str) -> None:
    with pytest.raises(rl.RegionLossError, match=sentence):
        make()
