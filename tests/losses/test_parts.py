"""Replaceable parts that do not fit: one check names the part, whatever would have broadcast in silence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import regionloss as rl
from tests.helpers import TwoLevels, backbone, pair, text_regions

CROPS = rl.ResizeExtractor(size=(12, 20))
AREA = rl.AreaWeighting()
SQUARES = rl.SquaredL2()


class Cutting:
    """An extractor that changes what another one cuts."""

    size = (12, 20)

    def __init__(self, change: Callable[[Tensor], Tensor]) -> None:
        self.change = change

    def __call__(self, images: Tensor, regions: rl.Regions) -> Tensor:
        return self.change(CROPS(images, regions))


class Seeing(rl.FeatureBackbone):
    """A backbone that changes what another one sees."""

    def __init__(self, change: Callable[[list[Tensor]], Any]) -> None:
        super().__init__(TwoLevels(), rl.InputSpec())
        self.change = change

    def levels(self, network: nn.Module, images: Tensor) -> Any:
        return self.change(network(images))


def loss(**parts: Any) -> rl.RegionPerceptualLoss:
    return rl.RegionPerceptualLoss(**{"extractor": CROPS, "backbone": backbone(), **parts})


PARTS = {
    "a weighting of a column": (
        {"weighting": lambda r: AREA(r)[:, None]},
        r"weighting .*\(R,\) with R = 5, got \(5, 1\)",
    ),
    "a weighting of a row": ({"weighting": lambda r: AREA(r)[None]}, r"weighting .*got \(1, 5\)"),
    "a weighting of one number": ({"weighting": lambda r: AREA(r).mean()}, r"weighting .*got \(\)"),
    "a weighting of one in a list": ({"weighting": lambda r: AREA(r)[:1]}, r"weighting .*got \(1,\)"),
    "a weighting that is a number": ({"weighting": lambda r: 0.5}, r"weighting .*a tensor \(R,\) .*got float"),
    "a weighting of whole numbers": ({"weighting": lambda r: AREA(r).long()}, r"weighting .*got torch\.int64"),
    "a weighting elsewhere": ({"weighting": lambda r: AREA(r).to("meta")}, r"weighting .*on cpu.*got meta"),
    "a distance of all": ({"distance": lambda f, t: SQUARES(f, t).mean()}, r"distance .*\(R,\) with R = 5, got \(\)"),
    "a distance of a column": ({"distance": lambda f, t: SQUARES(f, t)[:, None]}, r"distance .*got \(5, 1\)"),
    "a distance of a map": ({"distance": lambda f, t: (f[0] - t[0]).square()}, r"distance .*got \(5, 6, 12, 20\)"),
    "a distance of levels": ({"distance": lambda f, t: list(f)}, r"distance .*got list"),
    "a distance without gradient": (
        {"distance": lambda f, t: SQUARES(f, t).detach()},
        r"distance .*a gradient .*got none",
    ),
    "an extractor of grey crops": ({"extractor": Cutting(lambda c: c[:, :1])}, r"extractor .*got \(5, 1, 12, 20\)"),
    "an extractor of too few": (
        {"extractor": Cutting(lambda c: c[1:])},
        r"extractor \(Cutting\).*got \(4, 3, 12, 20\)",
    ),
    "an extractor of one": ({"extractor": Cutting(lambda c: c[0])}, r"extractor .*got \(3, 12, 20\)"),
    "an extractor by NumPy": (
        {"extractor": Cutting(lambda c: torch.from_numpy(c.detach().numpy()))},
        r"extractor .*a gradient .*got none",
    ),
    "a backbone of the mean": (
        {"backbone": Seeing(lambda levels: [level.mean(0, keepdim=True) for level in levels])},
        r"backbone \(Seeing\).*\(R, any, \.\.\.\) with R = 5, got \(1, 6, 12, 20\)",
    ),
    "a backbone of numbers": (
        {"backbone": Seeing(lambda levels: [levels[0].mean((1, 2, 3))])},
        r"backbone .*got \(5,\)",
    ),
    "a backbone of names": (
        {"backbone": Seeing(lambda levels: {"one": levels[0]})},
        r"Seeing: expected feature maps .*got dict",
    ),
    "a backbone of nothing": (
        {"backbone": Seeing(lambda levels: None)},
        r"Seeing: expected feature maps .*got NoneType",
    ),
    "a backbone without levels": ({"backbone": Seeing(lambda levels: [])}, r"backbone .*levels .*got none"),
}


@pytest.mark.parametrize("name", PARTS)
def test_a_part_of_another_shape_is_a_sentence(name: str) -> None:
    parts, sentence = PARTS[name]
    with pytest.raises(rl.RegionLossError, match=sentence):
        loss(**parts)(*pair(), text_regions())


@pytest.mark.parametrize("chunk_size", [None, 2])
def test_shapes_are_looked_at_in_every_call(chunk_size: int | None) -> None:
    """A part that squeezes fits five regions, and not one."""
    squeezing = loss(distance=lambda f, t: SQUARES(f, t).squeeze(), chunk_size=chunk_size)
    one = text_regions().select(torch.tensor([0]))
    if chunk_size is None:
        squeezing(*pair(), text_regions())
    with pytest.raises(rl.RegionLossError, match=r"distance .*with R = 1, got \(\)"):
        squeezing(*pair(), one)


def test_a_backbone_may_return_one_level_as_it_is() -> None:
    """Taken apart along its regions it would be five levels of none."""
    regions = text_regions()
    alone, listed = (
        loss(backbone=Seeing(change))(*pair(), regions) for change in (lambda ls: ls[1], lambda ls: [ls[1]])
    )
    torch.testing.assert_close(alone, listed, atol=0, rtol=0)
    assert alone > 0


@pytest.mark.parametrize("role", ["extractor", "backbone", "distance", "weighting"])
@pytest.mark.parametrize("part", ["resize", SQUARES.__class__, 3, 0, "", False], ids=repr)
def test_a_name_or_a_class_is_refused_when_the_loss_is_built(role: str, part: object) -> None:
    with pytest.raises(
        rl.RegionLossError, match=rf"^{role}: expected a \w+, got .*\. (Components|Make one: SquaredL2)"
    ):
        loss(**{role: part})


def test_a_term_holds_a_loss() -> None:
    for wrong in ("text", nn.Identity(), None):
        with pytest.raises(rl.RegionLossError, match=r"^terms\['a'\]\.loss: expected a RegionPerceptualLoss, got "):
            rl.LossTerms({"a": rl.Term(wrong, "text")})
