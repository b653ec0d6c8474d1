"""Our modules against the outputs of the original packages (tests/golden/README.md)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

GOLDEN = Path(__file__).parent / "data" / "networks.npz"
pytestmark = pytest.mark.weights


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    with np.load(GOLDEN) as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


def from_bytes(pixels: Tensor) -> Tensor:
    return pixels.float() / 127.5 - 1


def assert_recorded(golden: dict[str, Tensor], name: str, output: Tensor) -> None:
    assert tuple(output.shape) == tuple(golden[f"{name}_shape"].tolist())
    values = output.flatten()[golden[f"{name}_index"]]
    scale = float(golden[f"{name}_value"].abs().max())
    assert scale > 0.1  # recorded values are no zeros
    torch.testing.assert_close(values, golden[f"{name}_value"], rtol=1e-5, atol=1e-5 * scale)
    torch.testing.assert_close(output.double().mean(), golden[f"{name}_mean"], rtol=1e-5, atol=1e-7)


def test_crnn_english_g2_equals_easyocr(weights, golden) -> None:
    weights("english-g2")
    from regionloss_text.crnn import CrnnEnglishG2

    levels = CrnnEnglishG2(out_indices=range(7))(from_bytes(golden["crops"]))
    for number, level in zip((1, 4, 7, 9, 13, 16, 19), levels, strict=True):
        assert_recorded(golden, f"english_g2_{number}", level)


def test_nano_ocr_equals_the_package(weights, golden) -> None:
    weights("nano-ocr")
    from regionloss_text.nano_ocr import NanoOcr

    levels = NanoOcr(out_indices=range(6))(from_bytes(golden["crops"]))
    for number, level in zip((1, 4, 8, 10, 14, 18), levels, strict=True):
        assert_recorded(golden, f"nano_ocr_{number}", level)


def test_craft_trunk_equals_easyocr(weights, golden) -> None:
    weights("craft-mlt-25k")
    from regionloss_text.craft_trunk import CraftFeatures

    levels = CraftFeatures()(from_bytes(golden["scene"])[None])
    for name, level in zip(("relu2_2", "relu3_2", "relu4_3", "relu5_3", "fc7"), levels, strict=True):
        assert_recorded(golden, f"craft_{name}", level)


def test_craft_maps_equal_easyocr(weights, golden) -> None:
    weights("craft-mlt-25k")
    from regionloss_text.craft_detector import CraftDetector

    maps = CraftDetector().maps(from_bytes(golden["scene"])[None])
    torch.testing.assert_close(maps, golden["craft_maps"], rtol=1e-4, atol=1e-5)


def test_folding_a_batch_norm_changes_nothing() -> None:
    from regionloss_text.convolutions import Conv, ConvChain

    torch.manual_seed(0)
    conv, norm = torch.nn.Conv2d(3, 8, 3, padding=1, bias=False), torch.nn.BatchNorm2d(8)
    norm.running_mean.uniform_(-1, 1)
    norm.running_var.uniform_(0.5, 2)
    torch.nn.init.uniform_(norm.weight, 0.5, 2)
    torch.nn.init.uniform_(norm.bias, -1, 1)
    plain = torch.nn.Sequential(conv, norm, torch.nn.ReLU()).eval()
    tensors = {**conv.state_dict(prefix="c."), **norm.state_dict(prefix="n.")}
    images = torch.randn(2, 3, 9, 9)
    torch.testing.assert_close(ConvChain((Conv("c", "n"),), tensors)(images)[0], plain(images), rtol=1e-5, atol=1e-5)
