"""Terms that compare embeddings, logits and texts: asked of the backbone, in one call, for each region."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

import regionloss as rl
from regionloss.distances import CTC, KL, L1, Cosine, SquaredL2, WeightedSum
from tests.helpers import TwoLevels, images, pair, text_regions

CROPS = rl.ResizeExtractor(size=(12, 20))
TEXTS = ("ab", "", "ba", "b!", "aab")


class Knowing(rl.FeatureBackbone):
    """Two levels, a vector and scores of five positions, all of the last level."""

    alphabet = "ab"

    def __init__(self, **options: object) -> None:
        torch.manual_seed(7)
        super().__init__(TwoLevels(), rl.InputSpec(), **options)
        self.calls = 0

    def levels(self, network: nn.Module, images: Tensor) -> Sequence[Tensor]:
        self.calls += 1
        return super().levels(network, images)

    def embedding(self, network: nn.Module, levels: Sequence[Tensor]) -> Tensor:
        return levels[-1].mean((2, 3))

    def logits(self, network: nn.Module, levels: Sequence[Tensor]) -> Tensor:
        return 3 * levels[-1][:, :3, 0, :5]


def loss(distance: object, **options: object) -> rl.RegionPerceptualLoss:
    return rl.RegionPerceptualLoss(CROPS, Knowing(), distance, **options)


def regions() -> rl.Regions:
    plain = text_regions()
    return rl.Regions("text", plain.boxes, plain.image_index, plain.image_size, 3, texts=TEXTS)


def by_hand(kind: str, x: Tensor, y: Tensor) -> Tensor:
    """One region at a time, from the network itself."""
    values, network = [], Knowing().network.double()
    spec = rl.InputSpec()
    for n in range(5):
        one = regions().select(torch.tensor([n]))
        (a, b), (c, d) = (network(spec(CROPS(images, one))) for images in (x, y))
        area = float(one.areas) / (40 * 48)
        u, v = b.mean((2, 3))[0], d.mean((2, 3))[0]
        p, q = ((3 * level[0, :3, 0, :5]).log_softmax(0) for level in (b, d))
        known = {"ab": [1, 2], "ba": [2, 1], "aab": [1, 1, 2]}.get(TEXTS[n], [])
        spelt = -torch.logsumexp(paths(p, known), 0) / len(known) if known else torch.zeros(()).double()
        squares = [(f - t).square().sum(1).mean() for f, t in ((a, c), (b, d))]
        values.append(area * {
            "cosine": 1 - u @ v / (u.norm() * v.norm()),
            "l1": (u - v).abs().sum(),
            "kl": (q.exp() * (q - p)).sum(0).mean(),
            "ctc": spelt,
            "all": sum(squares) / 2 + 4 * (u - v).abs().sum() + 0.1 * spelt,
        }[kind])  # fmt: skip
    return torch.stack(values)


def paths(steps: Tensor, text: list[int]) -> Tensor:
    """Log probabilities of every path of five classes that spells the text."""
    found = []
    for path in torch.cartesian_prod(*[torch.arange(3)] * 5).tolist():
        runs = [c for i, c in enumerate(path) if i == 0 or c != path[i - 1]]
        if [c for c in runs if c] == text:
            found.append(sum(steps[c, i] for i, c in enumerate(path)))
    return torch.stack(found)


DISTANCES = {
    "cosine": Cosine(eps=0),
    "l1": L1(of="embedding"),
    "kl": KL(),
    "ctc": CTC(),
    "all": WeightedSum([(1.0, SquaredL2()), (4.0, L1(of="embedding")), (0.1, CTC())]),
}


@pytest.mark.parametrize("kind", DISTANCES)
@pytest.mark.parametrize("chunk_size", [None, 2])
def test_agree_with_a_plain_loop(kind: str, chunk_size: int | None) -> None:
    x, y = pair()
    ours = loss(DISTANCES[kind], reduction="none", chunk_size=chunk_size)(x, y, regions())
    torch.testing.assert_close(ours, by_hand(kind, x, y), atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("kind", DISTANCES)
def test_the_gradient_is_the_derivative(kind: str) -> None:
    found, y = loss(DISTANCES[kind]), pair()[1]
    x = images(3, seed=3)

    def along(scale: Tensor) -> Tensor:
        return found(y + scale * (x - y), y, regions())

    assert torch.autograd.gradcheck(along, torch.tensor(0.7, dtype=torch.float64, requires_grad=True))


def test_the_network_is_called_once_for_all_of_them() -> None:
    """Once for each half of the pair on a CPU, as for levels alone."""
    found = loss(DISTANCES["all"])
    found(*pair(), regions())
    assert found.backbone.calls == 2


def test_levels_are_picked_and_heads_see_all() -> None:
    x, y = pair()
    picked = rl.RegionPerceptualLoss(CROPS, Knowing(out_indices=(0,)), Cosine())
    torch.testing.assert_close(picked(x, y, regions()), loss(Cosine())(x, y, regions()), atol=0, rtol=0)


@pytest.mark.parametrize(
    ("distance", "sentence"),
    [
        (Cosine(), r"^distance \(Cosine\): expected a backbone with embedding, got FeatureBackbone, which has none"),
        (KL(), r"^distance \(KL\): expected a backbone with logits, got FeatureBackbone"),
        (CTC(), r"^distance \(CTC\): expected a backbone with logits"),
        (
            WeightedSum([(1.0, SquaredL2()), (1.0, L1(of="embedding"))]),
            r"^distance \(L1\): expected a backbone with",
        ),
    ],
)
def test_a_backbone_that_has_none_is_a_sentence(distance: object, sentence: str) -> None:
    with pytest.raises(rl.RegionLossError, match=sentence):
        rl.RegionPerceptualLoss(CROPS, rl.FeatureBackbone(TwoLevels(), rl.InputSpec()), distance)


def test_a_head_of_another_shape_is_a_sentence() -> None:
    found = loss(Cosine())
    found.backbone.embedding = lambda network, levels: levels[-1].mean()
    with pytest.raises(rl.RegionLossError, match=r"^backbone \(Knowing\): expected a tensor \(R, any.*got \(\)"):
        found(*pair(), regions())


def test_regions_without_texts_are_told_of_once() -> None:
    x, y = pair()
    found = loss(CTC())
    with pytest.warns(UserWarning, match=r"^regions\['text'\]\.texts: expected transcriptions, got none"):
        assert found(x, y, text_regions()) == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found(x, y, text_regions())
        assert found(x, y, regions()) > 0
