"""Features of ABINet, against MMOCR's own model on pictures that MMOCR itself read, resized and normalised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from regionloss_text.mmocr.abinet import ABINet
from torch import Tensor, nn

import regionloss as rl
from regionloss.errors import InputError, WeightsError

SHAPES = [(32, 16, 64), (64, 16, 64), (128, 8, 32), (256, 8, 32), (512, 8, 32)]


def stages_of(backbone: nn.Module, inputs: Tensor) -> list[Tensor]:
    """Record, by hooks, what each stage of MMOCR's backbone gives, as its own forward runs."""
    kept: list[Tensor] = []
    stages = [getattr(backbone, f"layer{i}") for i in range(1, 6)]
    handles = [stage.register_forward_hook(lambda module, args, out: kept.append(out.clone())) for stage in stages]
    backbone(inputs)
    for handle in handles:
        handle.remove()
    return kept


@pytest.fixture(scope="module")
def ours(abinet_theirs: Any) -> ABINet:
    return ABINet(weights=str(abinet_theirs.file))


@torch.no_grad()
def test_five_levels_are_mmocrs_stages(
    ours: ABINet, abinet_theirs: Any, run_pipeline: Callable[..., Any], picture: Callable[..., np.ndarray],
    as_images: Callable[[np.ndarray], Tensor],
) -> None:  # fmt: skip
    painted = picture(32, 128)
    inputs, _ = run_pipeline(abinet_theirs, painted)
    levels = ours(as_images(painted))
    assert [tuple(level.shape[1:]) for level in levels] == SHAPES
    for level, stage in zip(levels, stages_of(abinet_theirs.model.backbone, inputs), strict=True):
        torch.testing.assert_close(level, stage, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(levels[-1], abinet_theirs.model.extract_feat(inputs), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_colours_the_other_way_round_would_be_seen(
    ours: ABINet, abinet_theirs: Any, run_pipeline: Callable[..., Any], picture: Callable[..., np.ndarray],
    as_images: Callable[[np.ndarray], Tensor],
) -> None:  # fmt: skip
    inputs, _ = run_pipeline(abinet_theirs, picture(32, 128))
    swapped, expected = ours(as_images(picture(32, 128)).flip(1))[-1], abinet_theirs.model.extract_feat(inputs)
    assert (swapped - expected).abs().mean() > 0.05 * expected.abs().mean()


@torch.no_grad()
@pytest.mark.parametrize(("levels", "count"), [("resnet+transformer", 6), ("transformer", 1)])
def test_the_transformer_by_option(
    levels: Any, count: int, abinet_theirs: Any, run_pipeline: Callable[..., Any],
    picture: Callable[..., np.ndarray], as_images: Callable[[np.ndarray], Tensor],
) -> None:  # fmt: skip
    model = abinet_theirs.model
    inputs, samples = run_pipeline(abinet_theirs, picture(32, 128))
    found = ABINet(str(abinet_theirs.file), levels)(as_images(picture(32, 128)))
    assert len(found) == count
    expected = model.encoder(model.extract_feat(inputs), samples)
    assert expected.shape == (1, 512, 8, 32)
    torch.testing.assert_close(found[-1], expected, rtol=1e-5, atol=1e-5)


def test_parameters_are_those_of_the_paper(abinet_theirs: Any, ours: ABINet) -> None:
    # InsightTok, table 11: 23.5M for the vision model; derived in full: 23,546,533 with MMOCR's biases.
    count = sum(p.numel() for p in abinet_theirs.model.parameters())
    assert count == 23_546_533
    assert sum(p.numel() for p in ours.network.parameters()) == 12_994_784 + 32  # ResNet-45, and its stem's bias
    both = ABINet(str(abinet_theirs.file), "resnet+transformer").network
    assert sum(p.numel() for p in both.parameters()) == 12_994_784 + 32 + 9_457_152


def test_a_checkpoint_of_the_whole_abinet_serves_as_well(
    make_theirs: Callable[..., Any], picture: Callable[..., np.ndarray], as_images: Callable[[np.ndarray], Tensor]
) -> None:
    theirs = make_theirs("textrecog/abinet/abinet_20e_st-an_mj.py")
    assert any(name.startswith("decoder.language_decoder.") for name in theirs.model.state_dict())
    loaded = ABINet(str(theirs.file), "resnet+transformer").network.state_dict()
    for name, tensor in loaded.items():
        assert torch.equal(tensor, theirs.model.state_dict()[name]), name


def test_a_converted_checkpoint_with_a_message_hub(abinet_theirs: Any, ours: ABINet, tmp_path: Any) -> None:
    from mmengine.logging import HistoryBuffer

    from regionloss.weights.convert import convert

    hub = {"log_scalars": {"train/loss": HistoryBuffer([1.0, 2.0], [1, 1])}}
    file = tmp_path / "abinet.pth"
    tensors = {**abinet_theirs.model.state_dict(), "data_preprocessor.mean": torch.zeros(3, 1, 1)}
    torch.save({"meta": {}, "message_hub": hub, "state_dict": tensors}, file)
    with pytest.raises(WeightsError, match=r"regionloss weights convert .*abinet.pth --trust"):
        ABINet(str(file))
    converted = ABINet(str(convert(file).path))
    crops = torch.rand(1, 3, 32, 128) * 2 - 1
    assert all(torch.equal(a, b) for a, b in zip(converted(crops), ours(crops), strict=True))


def test_gradients_reach_the_crops_and_no_weight(ours: ABINet) -> None:
    crops = torch.rand(2, 3, 32, 128, requires_grad=True)
    sum(level.square().mean() for level in ours(crops)).backward()
    assert crops.grad is not None
    assert (crops.grad.flatten(1).abs().amax(1) > 0).all()
    assert all(p.grad is None and not p.requires_grad for p in ours.network.parameters())
    assert not list(ours.parameters())
    assert not ours.state_dict()
    assert not ours.train().network.training


@pytest.mark.parametrize("levels", ["resnet", "resnet+transformer"])
def test_identical_crops_are_at_distance_zero(levels: Any, abinet_theirs: Any) -> None:
    backbone = ABINet(str(abinet_theirs.file), levels)
    target = torch.rand(2, 3, 32, 128) * 2 - 1
    crops = target.clone().requires_grad_()
    distances = rl.SquaredL2()(*backbone(crops, target))
    distances.sum().backward()
    assert torch.equal(distances, torch.zeros(2))
    assert crops.grad is not None
    assert torch.equal(crops.grad, torch.zeros_like(crops))


def test_out_indices_choose_levels(abinet_theirs: Any) -> None:
    backbone = ABINet(str(abinet_theirs.file), out_indices=(0, 4))
    with torch.no_grad():
        assert [tuple(level.shape) for level in backbone(torch.zeros(1, 3, 32, 128))] == [
            (1, 32, 16, 64),
            (1, 512, 8, 32),
        ]


def test_unknown_levels_are_refused() -> None:
    with pytest.raises(InputError, match=r"abinet\.levels: expected one of 'resnet', .*, got 'vit'\."):
        ABINet(levels="vit")  # type: ignore[arg-type]


def test_another_size_is_refused(ours: ABINet) -> None:
    with pytest.raises(InputError, match="crops: expected 32 x 128 pixels, got "):
        ours(torch.zeros(1, 3, 64, 256))


def test_weights_of_another_model_are_refused(abinet_theirs: Any, tmp_path: Any) -> None:
    tensors = dict(abinet_theirs.model.state_dict())
    del tensors["backbone.layer3.0.conv1.weight"]
    tensors["backbone.layer9.weight"] = torch.zeros(1)
    tensors["backbone.conv1.bias"] = torch.zeros(3)
    torch.save(tensors, tmp_path / "other.pth")
    with pytest.raises(WeightsError) as caught:
        ABINet(str(tmp_path / "other.pth"))
    for part in (
        "in 'backbone': expected the 301 tensors of the network",
        "1 missing (layer3.0.conv1.weight)",
        "1 unknown (layer9.weight)",
        "1 of another shape (conv1.bias)",
    ):
        assert part in str(caught.value)
