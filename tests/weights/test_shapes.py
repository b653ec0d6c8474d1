"""Networks without their weight files, where only shapes matter."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from regionloss.backbones import LPIPSAlex, LPIPSVgg, ShiftTolerantVgg
from regionloss.errors import WeightsError
from regionloss.weights import load_strictly, shapes_alone, values_matter


def test_a_network_is_built_without_its_file_inside_alone(tmp_path: Path) -> None:
    layer = nn.Linear(2, 3)
    before = layer.weight.clone()
    with shapes_alone():
        assert not values_matter()
        load_strictly(layer, tmp_path / "none.pth")
    assert torch.equal(layer.weight, before)
    assert values_matter()
    with pytest.raises(WeightsError, match="not found"):
        load_strictly(layer, tmp_path / "none.pth")


@pytest.mark.parametrize("kind", [LPIPSAlex, LPIPSVgg, ShiftTolerantVgg])
def test_lpips_has_the_levels_that_it_has_with_weights(kind: type, tmp_path: Path) -> None:
    widths = [64, 192, 384, 256, 256] if kind is LPIPSAlex else [64, 128, 256, 512, 512]
    with shapes_alone():
        backbone = kind(weights=str(tmp_path / "none.pth"))
    levels = backbone(torch.empty(1, 3, 64, 64, device="meta"))
    assert [level.shape[1] for level in levels] == widths
    with pytest.raises(WeightsError):
        kind(weights=str(tmp_path / "none.pth"))


def test_it_ends_with_an_error() -> None:
    with pytest.raises(KeyError), shapes_alone():
        raise KeyError
    assert values_matter()
