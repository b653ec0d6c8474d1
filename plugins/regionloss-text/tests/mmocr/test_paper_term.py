"""The term `text/paper`, against a plain loop over images and regions with MMOCR's own network, in float64."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import regionloss as rl
from regionloss.errors import WeightsError
from regionloss.hooks.catalogue import catalogue

BOXES = [[3.0, 4.0, 60.0, 21.0], [10.0, 30.0, 34.0, 44.0], [0.0, 50.0, 96.0, 64.0], [70.0, 2.0, 90.0, 60.0]]


@pytest.fixture(scope="module")
def regions() -> rl.Regions:
    """Four words in three images; the second image has none."""
    return rl.Regions("text", torch.tensor(BOXES), torch.tensor([0, 0, 2, 2]), (64, 96), 3)


@pytest.fixture(scope="module")
def loss(abinet_theirs: Any) -> rl.RegionPerceptualLoss:
    known, term = catalogue(), catalogue().term("text/paper")
    assert (term.detector, term.extractor, term.backbone) == ("dbnet", "rectified", "abinet")
    weights = {"backbone": {"weights": str(abinet_theirs.file)}}
    parts = {
        kind: known.build(kind, getattr(term, kind), {**term.options.get(kind, {}), **weights.get(kind, {})},
                          plugin=term.plugin)
        for kind in ("extractor", "backbone", "distance", "weighting")
    }  # fmt: skip
    return rl.RegionPerceptualLoss(**parts)


def levels_of(backbone: nn.Module, preprocessor: Any, crop: Tensor) -> list[Tensor]:
    """Take one crop (1, 3, 32, 128), RGB in [-1, 1], through MMOCR's normalisation and stages, by hand."""
    values = ((crop + 1) * 127.5)[:, [2, 1, 0]]
    mean, std = (torch.tensor(preprocessor[k], dtype=torch.float64).view(1, 3, 1, 1) for k in ("mean", "std"))
    out, levels = backbone.relu1(backbone.bn1(backbone.conv1((values - mean) / std))), []
    for i in range(1, 6):
        out = getattr(backbone, f"layer{i}")(out)
        levels.append(out)
    return levels


def plain_loop(theirs: Any, reconstruction: Tensor, target: Tensor, regions: rl.Regions) -> Tensor:
    """Compute InsightTok, eq. 4 to 9, as a reader of the paper would write it."""
    backbone = copy.deepcopy(theirs.model.backbone).double()
    preprocessor = theirs.config.model.data_preprocessor
    height, width = target.shape[2:]
    total = target.new_zeros(())
    for image in range(len(target)):
        for box, index in zip(regions.boxes.tolist(), regions.image_index.tolist(), strict=True):
            if index != image:
                continue
            x1, y1, x2, y2 = map(int, box)
            crops = [
                nn.functional.interpolate(
                    images[image : image + 1, :, y1:y2, x1:x2], (32, 128), mode="bilinear", antialias=True
                )
                for images in (reconstruction, target)
            ]
            distance = target.new_zeros(())
            pairs = list(zip(*(levels_of(backbone, preprocessor, crop) for crop in crops), strict=True))
            for ours, theirs_ in pairs:
                distance = distance + (ours - theirs_).square().sum() / (ours.shape[2] * ours.shape[3])
            total = total + (x2 - x1) * (y2 - y1) / (height * width) * distance / len(pairs)
    return total / len(target)


def images(seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(3, 3, 64, 96, generator=generator, dtype=torch.float64) * 2 - 1


def test_agrees_with_a_plain_loop(loss: rl.RegionPerceptualLoss, regions: rl.Regions, abinet_theirs: Any) -> None:
    target = images(0)
    reconstruction = (target + 0.3 * images(1)).requires_grad_()
    ours = loss(reconstruction, target, regions)
    (our_gradient,) = torch.autograd.grad(ours, reconstruction)
    expected = plain_loop(abinet_theirs, reconstruction, target, regions)
    (gradient,) = torch.autograd.grad(expected, reconstruction)
    assert expected > 1e-3
    torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(our_gradient, gradient, rtol=1e-8, atol=1e-10)
    assert torch.equal(our_gradient[1], torch.zeros(3, 64, 96, dtype=torch.float64))


def test_steps_along_the_gradient_lower_it(
    loss: rl.RegionPerceptualLoss, regions: rl.Regions, picture: Callable[..., Any], as_images: Callable[..., Tensor]
) -> None:
    target = torch.cat([as_images(picture(64, 96, seed)) for seed in range(3)])
    reconstruction = nn.functional.avg_pool2d(target, 9, 1, 4, count_include_pad=False).requires_grad_()
    optimizer = torch.optim.Adam([reconstruction], lr=0.02)
    values = []
    for _ in range(3):
        value = loss(reconstruction, target, regions)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(float(value.detach()))
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.9 * values[0]


@pytest.mark.parametrize(
    ("kind", "name", "options", "weights"),
    [
        ("backbone", "abinet", {}, "abinet-vision_20e_st-an_mj"),
        ("detector", "dbnet", {}, "dbnet_resnet18_fpnc_1200e_icdar2015"),
        ("detector", "dbnet", {"variant": "r50"}, "dbnet_resnet50_1200e_icdar2015"),
    ],
)
def test_missing_weights_are_an_error_and_never_random(
    kind: str, name: str, options: dict[str, Any], weights: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGIONLOSS_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match=f"weights '{weights}' not found.* Run 'regionloss weights fetch {weights}'"):
        catalogue().build(kind, name, options)


def test_weights_are_found_in_the_cache_by_their_registered_name(
    abinet_theirs: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGIONLOSS_HOME", str(tmp_path))
    record = catalogue().weight("abinet-vision_20e_st-an_mj")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / record.filename).write_bytes(abinet_theirs.file.read_bytes())
    # Found, and refused: its name promises the official file, which begins with 85cfb03d.
    with pytest.raises(WeightsError, match=r"abinet-vision_.*-85cfb03d\.pth: expected sha256 85cfb03d\.\.\., got "):
        catalogue().build("backbone", "abinet")


def test_addresses_are_those_of_the_wheel() -> None:
    from pathlib import Path

    import yaml
    from regionloss_text.mmocr.compat import load_mmocr

    files = (Path(load_mmocr("tests")) / name for name in ("textdet/dbnet", "textrecog/abinet"))
    entries = [yaml.safe_load((folder / "metafile.yml").read_text(encoding="utf-8"))["Models"] for folder in files]
    known = {model["Weights"] for models in entries for model in models if "Weights" in model}
    ours = {record.source for record in catalogue().weights() if "openmmlab" in record.source}
    assert len(ours) == 5
    assert ours <= known
