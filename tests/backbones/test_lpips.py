"""Region LPIPS against the package `lpips` called on the same crops, and by the recipe."""

from __future__ import annotations

import warnings
from pathlib import Path

import lpips
import pytest
import torch

import regionloss as rl
from regionloss.backbones.lpips import LPIPSAlex, LPIPSFeatures, LPIPSVgg
from regionloss.backbones.lpips_trunks import TorchvisionTrunk
from regionloss.distances.squared_l2 import SquaredL2
from regionloss.errors import RecipeError, WeightsError
from regionloss.extractors.letterbox import LetterboxExtractor
from regionloss.hooks.catalogue import catalogue
from regionloss.testing.contracts import FeatureBackboneContract
from regionloss.testing.fakes import grid_regions, noise_images

HEADS = Path(lpips.__file__).parent / "weights" / "v0.1"
TRUNKS = {"vgg": (LPIPSVgg, "vgg16.pth"), "alex": (LPIPSAlex, "alexnet.pth")}


def original(net: str = "alex") -> lpips.LPIPS:
    """The package's own network: its heads, on a trunk of random weights."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lpips.LPIPS(net=net, pretrained=True, pnet_rand=True, verbose=False).eval()


def trunk_of(model: lpips.LPIPS) -> dict[str, torch.Tensor]:
    """Its trunk by torchvision's names."""
    states = model.net.state_dict()
    return {f"features.{name.partition('.')[2]}": value for name, value in states.items() if name.startswith("slice")}


def features(model: lpips.LPIPS, **options) -> LPIPSFeatures:
    return LPIPSFeatures(TorchvisionTrunk("alex", trunk_of(model), model.state_dict()), **options)


class TestContract(FeatureBackboneContract):
    def make(self) -> LPIPSFeatures:
        return features(original())


@pytest.mark.weights
class TestShiftTolerantContract(FeatureBackboneContract):
    @pytest.fixture(autouse=True)
    def given(self, weights) -> None:
        weights("st-lpips-alex")
        self.backbone = catalogue().build("backbone", "st-lpips-alex")

    def make(self) -> LPIPSFeatures:
        return self.backbone


@pytest.mark.parametrize("net", TRUNKS)
def test_region_lpips_equals_the_package_on_the_same_crops(net: str, tmp_path: Path) -> None:
    """Weighted by area and summed over each image's regions by a plain loop; the gradient too."""
    model, (kind, filename) = original(net), TRUNKS[net]
    torch.save(trunk_of(model), tmp_path / filename)
    extractor = LetterboxExtractor(size=(64, 64))
    loss = rl.RegionPerceptualLoss(extractor, kind(str(tmp_path / filename), str(HEADS / f"{net}.pth")))
    model, target = model.double(), noise_images().double()
    regions = grid_regions("hand").to("cpu", dtype=torch.float64)
    reconstruction = (0.7 * target + 0.3 * noise_images(seed=1)).requires_grad_()
    wanted = target.new_zeros(())
    for n in range(len(regions)):
        one = regions.select(torch.tensor([n]))
        x1, y1, x2, y2 = one.boxes[0]
        share = (x2 - x1) * (y2 - y1) / (64 * 96)
        wanted = wanted + share * model(extractor(reconstruction, one), extractor(target, one)).sum() / len(target)
    (by_package,) = torch.autograd.grad(wanted, reconstruction)
    found = loss(reconstruction, target, regions)
    torch.testing.assert_close(found, wanted, rtol=1e-7, atol=0)
    scale = float(by_package.abs().max())
    torch.testing.assert_close(torch.autograd.grad(found, reconstruction)[0], by_package, rtol=0, atol=1e-6 * scale)


def test_some_levels_are_a_part_of_the_sum() -> None:
    """The package tells levels apart with `retPerLayer`."""
    model, (y, x) = original(), noise_images()
    _, by_level = model(y[None], x[None], retPerLayer=True)
    found = SquaredL2()(*features(model, out_indices=(0, 3))(y[None], x[None]))
    torch.testing.assert_close(found, (by_level[0] + by_level[3]).flatten(), rtol=1e-4, atol=1e-8)


def test_trunks_of_other_networks_are_refused() -> None:
    heads = original().state_dict()
    with pytest.raises(WeightsError, match=r"expected torchvision's alex weights, got none named 'features\.0\.bias'"):
        TorchvisionTrunk("alex", {"features.0.weight": torch.zeros(64, 3, 11, 11)}, heads)
    wrong = {name: torch.zeros(1) for name in trunk_of(original())}
    with pytest.raises(WeightsError, match="expected torchvision's alex weights"):
        TorchvisionTrunk("alex", wrong, heads)


def test_missing_weights_name_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGIONLOSS_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match=r"Run 'regionloss weights fetch vgg16-torchvision'"):
        catalogue().build("backbone", "lpips-vgg")


RECIPE = "version: 1\nterms:\n  signs: {use: region-st-lpips, kind: face, weight: 2.0}\n"


@pytest.mark.weights
def test_a_recipe_says_which_regions(tmp_path: Path, weights) -> None:
    weights("st-lpips-alex")
    file = tmp_path / "terms.yaml"
    file.write_text(RECIPE)
    terms = rl.load_terms(file)
    assert terms.kinds == ("face",)
    target, regions = noise_images(), grid_regions("face")
    found = terms(0.8 * target, target, {"face": regions})
    loss = rl.RegionPerceptualLoss(LetterboxExtractor(size=(128, 128)), catalogue().build("backbone", "st-lpips-alex"))
    torch.testing.assert_close(found.total, 2 * loss(0.8 * target, target, regions))
    assert float(found.total) > 0


def test_kinds_are_checked(tmp_path: Path) -> None:
    file = tmp_path / "terms.yaml"
    file.write_text(RECIPE.replace("kind: face, ", ""))
    with pytest.raises(RecipeError, match=r"terms\.signs\.use: expected 'kind' beside it, since 'region-st-lpips'"):
        rl.load_terms(file)
    file.write_text(RECIPE.replace("kind: face", "kind: fase"))
    with pytest.raises(RecipeError, match=r"terms\.signs\.kind: no region kind is named 'fase'\. Did you mean 'face'"):
        rl.load_terms(file)
    with pytest.raises(RecipeError, match=r"term 'core/region-lpips': expected the kind of region to read, got none"):
        rl.LossTerms.from_names({"region-lpips": 1.0})
