"""LPIPS against the package `lpips` called by hand, on a trunk of random weights that is saved to a file."""

from __future__ import annotations

import warnings
from pathlib import Path

import lpips
import pytest
import torch
from typer.testing import CliRunner

from insighttok_ref.objective.perceptual import PerceptualLoss, PerceptualOptions, build_perceptual
from regionloss import FeatureBackbone, InputSpec
from regionloss.backbones.lpips import LPIPSFeatures
from regionloss.backbones.lpips_trunks import TorchvisionTrunk, unit
from regionloss.cli.main import app
from regionloss.errors import InputError, WeightsError
from regionloss.hooks.catalogue import build_catalogue
from regionloss.recipe import load_recipe
from regionloss.recipe.load import load_any


def original(net: str = "alex") -> lpips.LPIPS:
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lpips.LPIPS(net=net, pretrained=True, pnet_rand=True, verbose=False).eval()


def trunk_of(model: lpips.LPIPS) -> dict[str, torch.Tensor]:
    """Return the trunk's weights by torchvision's names."""
    states = model.net.state_dict()
    return {f"features.{name.partition('.')[2]}": value for name, value in states.items() if name.startswith("slice")}


def trunk() -> TorchvisionTrunk:
    model = original()
    return TorchvisionTrunk("alex", trunk_of(model), model.state_dict())


def lpips_loss() -> PerceptualLoss:
    return PerceptualLoss(LPIPSFeatures(trunk()))


def images() -> tuple[torch.Tensor, torch.Tensor]:
    y, x = torch.rand(2, 2, 3, 64, 64, generator=torch.Generator().manual_seed(2)) * 2 - 1
    return y, x


@pytest.mark.parametrize(("name", "net"), [("lpips-alex", "alex"), ("lpips-vgg", "vgg")])
def test_lpips_equals_the_package(name: str, net: str, tmp_path: Path) -> None:
    model, (y, x) = original(net), images()
    torch.save(trunk_of(model), tmp_path / "trunk.pth")
    loss = build_perceptual(name, {"weights": str(tmp_path / "trunk.pth")})
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
    loss = lpips_loss()
    for y in (images()[0], torch.zeros(1, 3, 64, 64)):
        y.requires_grad_(True)
        found = loss(y, y.detach())
        found.backward()
        assert found.detach() == 0
        assert y.grad is not None
        assert y.grad.isfinite().all()


def test_frozen_for_ever_and_absent_from_its_owner() -> None:
    loss = lpips_loss()
    owner, (y, x) = torch.nn.ModuleList([loss]), images()
    with torch.no_grad():
        before = loss(y, x)
        owner.train()
        assert torch.equal(loss(y, x), before)  # the heads have dropout
    assert not owner.state_dict()
    assert not list(owner.parameters())
    y.requires_grad_(True)
    loss(y, x).backward()
    assert all(weight.grad is None for weight in loss.loss.backbone.network.parameters())


def test_distances_are_in_float32_under_autocast() -> None:
    loss, (y, x) = lpips_loss(), images()
    with torch.no_grad():
        wanted = loss(y, x)
        with torch.autocast("cpu", torch.bfloat16):
            found = loss(y, x)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, wanted, rtol=0.02, atol=0)


def test_unknown_names_are_met_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"no backbone is named 'lpips-vg'\. Did you mean 'lpips-vgg'"):
        PerceptualOptions(use="lpips-vg")
    with pytest.raises(ValueError, match=r"options\.haeds: expected a known key, got 'haeds'\. Did you mean 'heads'"):
        PerceptualOptions(use="core/lpips-vgg", options={"haeds": "x"})
    assert [PerceptualOptions(use=name).use for name in ("lpips-vgg", "core/st-lpips-alex")]


def by_formula(network: TorchvisionTrunk, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """LPIPS as Zhang et al. write it: sum over levels of the mean over positions of sum_c w_c (f_c(y) - f_c(x))^2."""
    triples = zip(network(y), network(x), network.head_weights(), strict=True)
    return sum(((unit(a) - unit(b)).square() * w[:, None, None]).sum(1).mean() for a, b, w in triples)


def test_the_backbone_of_that_name_and_the_objective_have_one_lpips() -> None:
    """The twin that was here is this formula: number and gradient are what they were."""
    network, (y, x) = trunk(), images()
    loss = PerceptualLoss(LPIPSFeatures(network))
    y.requires_grad_(True)
    wanted, found = by_formula(network, y, x.clone()), loss(y, x)
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-7)
    gradients = [torch.autograd.grad(value, y)[0] for value in (found, wanted)]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-7)


BACKBONE = """
from torch import nn
from regionloss import FeatureBackbone, InputSpec, hookimpl

class Pixels(FeatureBackbone):
    def __init__(self, gain: float = 1.0) -> None:
        super().__init__(nn.Identity(), InputSpec(value_range=(0, 2 * gain)))

@hookimpl
def register_feature_backbones(register) -> None:
    register("pixels", f"{__name__}:Pixels", licence="Apache-2.0", summary="what it sees")
"""


def test_a_backbone_of_a_plugin_beside_the_recipe_is_a_perceptual_loss_by_name(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(BACKBONE)
    known, (y, x) = build_catalogue(files=[tmp_path / "mine.py"]), images()
    with known.in_use():
        options = PerceptualOptions.model_validate({"use": "mine/pixels", "options": {"gain": 3.0}})
        found = build_perceptual(options.use, options.options)(y, x)
    torch.testing.assert_close(found, 9 * (y - x).square().sum(1).mean())
    with pytest.raises(ValueError, match=r"no backbone is named 'mine/pixels'"):
        PerceptualOptions(use="mine/pixels")


def test_a_recipe_is_checked_with_its_own_backbone_in_the_objective(tmp_path: Path) -> None:
    tiny = (Path(__file__).parents[1] / "trainers/tokenizer/tiny.yaml").read_text()
    tiny = tiny.replace("terms:\n  text: {use: tiny-text, weight: 0.05}\n", "").replace("[text]", "[]")
    (tmp_path / "tiny_plugin.py").write_text(BACKBONE.replace('"pixels"', '"tiny"'))
    (tmp_path / "r.yaml").write_text(tiny)
    place = "trainer.options.objective.perceptual"
    mine = f"{place}={{use: tiny, options: {{gain: 2}}}}"
    load_recipe(tmp_path / "r.yaml", [mine])
    unchecked = load_any(tmp_path / "r.yaml", [mine], run_plugins=False).unchecked
    assert any(place in line and "no backbone is named 'tiny'" in line for line in unchecked)
    said = CliRunner().invoke(app, ["check", str(tmp_path / "r.yaml"), f"{place}={{use: tiny, options: {{gian: 2}}}}"])
    assert said.exit_code
    assert "options.gian: expected a known key, got 'gian'. Did you mean 'gain'" in " ".join(said.output.split())


def test_a_network_of_one_size_sees_images_of_it() -> None:
    loss = PerceptualLoss(FeatureBackbone(torch.nn.Identity(), InputSpec(size=(8, 4))))
    y, x = images()
    small = [torch.nn.functional.interpolate(z, (8, 4), mode="bilinear", antialias=True) for z in (y, x)]
    torch.testing.assert_close(loss(y, x), (small[0] - small[1]).square().sum(1).mean())


def test_exchanged_images_are_refused() -> None:
    """The value would be right, and nothing trained: the target takes no gradient."""
    y, x = images()
    perceptual = lpips_loss()
    perceptual(y.requires_grad_(), x).backward()
    with pytest.raises(InputError, match=r"expected a reconstruction that requires a gradient.*Exchange the two"):
        perceptual(x, y)
