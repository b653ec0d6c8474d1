"""LPIPS against the package `lpips` called by hand, on a trunk of random weights that is saved to a file."""

from __future__ import annotations

import warnings
from pathlib import Path

import lpips
import pytest
import torch

from insighttok_ref.objective.perceptual import NETWORKS, PerceptualLoss, PerceptualOptions, build_perceptual
from regionloss.backbones.lpips_trunks import TorchvisionTrunk
from regionloss.errors import InputError, WeightsError


def original(net: str = "alex") -> lpips.LPIPS:
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lpips.LPIPS(net=net, pretrained=True, pnet_rand=True, verbose=False).eval()


def trunk_of(model: lpips.LPIPS) -> dict[str, torch.Tensor]:
    """Return the trunk's weights by torchvision's names."""
    states = model.net.state_dict()
    return {f"features.{name.partition('.')[2]}": value for name, value in states.items() if name.startswith("slice")}


def network() -> TorchvisionTrunk:
    model = original()
    return TorchvisionTrunk("alex", trunk_of(model), model.state_dict())


def images() -> tuple[torch.Tensor, torch.Tensor]:
    y, x = torch.rand(2, 2, 3, 64, 64, generator=torch.Generator().manual_seed(2)) * 2 - 1
    return y, x


@pytest.mark.parametrize(("name", "net"), [("lpips-alex", "alex"), ("lpips-vgg", "vgg")])
def test_lpips_equals_the_package(name: str, net: str, tmp_path: Path) -> None:
    model, (y, x) = original(net), images()
    torch.save(trunk_of(model), tmp_path / "trunk.pth")
    loss = PerceptualLoss(NETWORKS[name](weights=str(tmp_path / "trunk.pth")).network)
    y.requires_grad_(True)
    wanted = model(y, x).mean()
    (by_package,) = torch.autograd.grad(wanted, y)
    found = loss(y, x)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-8)
    torch.testing.assert_close(torch.autograd.grad(found, y)[0], by_package, rtol=1e-3, atol=1e-8)


def test_missing_trunk_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGIONLOSS_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match=r"Run 'regionloss weights fetch vgg16-torchvision'"):
        build_perceptual("lpips-vgg")


def test_identical_images_are_at_distance_zero_with_finite_gradients() -> None:
    loss = PerceptualLoss(network())
    for y in (images()[0], torch.zeros(1, 3, 64, 64)):
        y.requires_grad_(True)
        found = loss(y, y.detach())
        found.backward()
        assert found.detach() == 0
        assert y.grad is not None
        assert y.grad.isfinite().all()


def test_frozen_for_ever_and_absent_from_its_owner() -> None:
    loss = PerceptualLoss(network())
    owner, (y, x) = torch.nn.ModuleList([loss]), images()
    with torch.no_grad():
        before = loss(y, x)
        owner.train()
        assert torch.equal(loss(y, x), before)  # the heads have dropout
    assert not owner.state_dict()
    assert not list(owner.parameters())
    y.requires_grad_(True)
    loss(y, x).backward()
    assert all(weight.grad is None for weight in loss.network.parameters())


def test_distances_are_in_float32_under_autocast() -> None:
    loss, (y, x) = PerceptualLoss(network()), images()
    with torch.no_grad():
        wanted = loss(y, x)
        with torch.autocast("cpu", torch.bfloat16):
            found = loss(y, x)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, wanted, rtol=0.02, atol=0)


def test_unknown_names_are_met_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"no perceptual loss is named 'lpips-vg'.*lpips-vgg"):
        PerceptualOptions(use="lpips-vg")


def test_exchanged_images_are_refused() -> None:
    """The value would be right, and nothing trained: the target takes no gradient."""
    y, x = images()
    perceptual = PerceptualLoss(network())
    perceptual(y.requires_grad_(), x).backward()
    with pytest.raises(InputError, match=r"expected a reconstruction that requires a gradient.*Exchange the two"):
        perceptual(x, y)
