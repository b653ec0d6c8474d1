"""Shift-tolerant LPIPS against numbers of the package stlpips-pytorch 0.0.2 (tests/golden/st_lpips)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from insighttok_ref.objective.perceptual import build_perceptual
from regionloss.backbones.lpips_trunks import ShiftTolerantTrunk
from regionloss.errors import WeightsError

GOLDEN = json.loads((Path(__file__).parents[2] / "golden/st_lpips/golden.json").read_text())


def number(value: torch.Tensor) -> float:
    return float(value.detach())


@pytest.mark.weights
@pytest.mark.parametrize("case", GOLDEN)
def test_distances_and_gradients_equal_the_package(case: str) -> None:
    net, size = case.split()
    try:
        loss = build_perceptual(f"st-lpips-{net}")
    except WeightsError:
        if net == "alex":
            raise
        pytest.skip("the VGG trunk (59 MB) is not packaged; fetch st-lpips-vgg")
    height, width = map(int, size.split("x"))
    y, x = torch.rand(2, 2, 3, height, width, generator=torch.Generator().manual_seed(11)) * 2 - 1
    x = 0.7 * y + 0.3 * x
    y.requires_grad_(True)
    found = [loss(y[i : i + 1], x[i : i + 1]) for i in range(2)]
    assert [number(value) for value in found] == pytest.approx(GOLDEN[case]["distance"], rel=1e-4)
    loss(y, x).backward()
    assert float(y.grad.norm()) == pytest.approx(GOLDEN[case]["gradient_norm"], rel=1e-3)


def test_other_weights_are_refused() -> None:
    with pytest.raises(WeightsError, match=r"expected the weights of stlpips-pytorch 0\.0\.2"):
        ShiftTolerantTrunk("alex", {"net.slice1.0.weight": torch.zeros(1)})
