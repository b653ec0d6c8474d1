"""The networks of the general suite by name: those that are here, those that are not, and FID's own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from regionloss.backbones import FeatureBackbone, InputSpec
from regionloss.errors import UnknownNameError, WeightsError
from regionloss.evaluation import build_general
from regionloss.evaluation.inception import Inception
from regionloss.evaluation.networks import PooledFeatures
from regionloss.evaluation.pairs import Original, Pair, Reconstruction
from regionloss.hooks.catalogue import catalogue


def image(height: int, width: int) -> Tensor:
    return torch.randint(0, 256, (1, 3, height, width), generator=torch.Generator().manual_seed(0)) / 127.5 - 1


@pytest.fixture
def nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGIONLOSS_HOME", str(tmp_path))


class Drawn(FeatureExtractorInceptionV3):
    """FID's network with the weights that it was made with."""

    def load_state_dict(self, *_: object) -> None:  # type: ignore[override]
        pass


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Drawn, Path]:
    """The package's own network, and a file of its weights."""
    file = tmp_path_factory.mktemp("inception") / "drawn.pth"
    torch.save({}, file)
    torch.manual_seed(0)
    network = Drawn("inception-v3-compat", ["2048"], file)
    torch.save(network.state_dict(), file)
    return network, file


@pytest.mark.weights
def test_packaged_networks_serve_where_nothing_is_said(weights) -> None:
    weights("st-lpips-alex")
    weights("mobilenet-v2")
    general, _ = build_general(catalogue(), codebook_size=16)
    assert {"lpips/st-lpips-alex", "frechet/mobilenet-v2", "kernel/mobilenet-v2", "usage"} <= general.measures.keys()
    found = general.examine(Pair(Original("a", image(64, 96)[0]), Reconstruction(image(64, 96)[0].flip(0))))
    assert found.values["lpips/st-lpips-alex"] > 0
    assert found.features["mobilenet-v2/original"].shape == (1280,)
    assert not found.problems
    told = general.about["frechet/mobilenet-v2"]
    assert isinstance(told, dict)
    assert told["weights"]["core/mobilenet-v2"].startswith("b0353104")


@pytest.mark.usefixtures("nothing_here")
def test_what_is_not_here_is_noted_with_how_to_get_it() -> None:
    general, notes = build_general(catalogue())
    for what, weights in (
        ("LPIPS in lpips-alex", "alexnet-torchvision"),
        ("LPIPS in lpips-vgg", "vgg16-torchvision"),
        ("rFID", "inception-fid"),
    ):
        note = next(note for note in notes if note.startswith(f"No {what}: "))
        assert f"regionloss weights fetch {weights}" in note
    assert {"psnr", "ssim"} <= general.measures.keys()


@pytest.mark.usefixtures("nothing_here")
def test_all_that_was_asked_for_and_is_missing_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as error:
        build_general(catalogue(), lpips=["lpips-vgg"], frechet=["lpips-alex"], inception=tmp_path / "gone.pth")
    assert [line.partition(":")[0] for line in str(error.value).splitlines()] == [
        *("No LPIPS in lpips-vgg", "No Fréchet distance in lpips-alex", "No rFID"),
    ]


@pytest.mark.usefixtures("nothing_here")
def test_an_unknown_network_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'lpips-vgg'"):
        build_general(catalogue(), lpips=["lpips-vg"])
    general, _ = build_general(catalogue(), lpips=[], frechet=[])
    assert not [name for name in general.measures if name.startswith(("lpips/", "frechet/"))]


def test_features_of_fid_are_those_of_torch_fidelity(drawn: tuple[Drawn, Path]) -> None:
    network, file = drawn
    pixels = torch.randint(0, 256, (1, 3, 40, 64), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    with torch.inference_mode():
        found = Inception(file)(pixels / 127.5 - 1)
        assert torch.equal(found, network(pixels)[0][0])
    assert found.shape == (2048,)


@pytest.mark.usefixtures("nothing_here")
def test_rfid_is_the_name_with_published_weights_alone(drawn: tuple[Drawn, Path]) -> None:
    general, _ = build_general(catalogue(), lpips=[], frechet=[], inception=drawn[1])
    assert "frechet/inception-v3" in general.measures
    assert "rfid" not in general.measures


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"other\.pth: expected Inception-v3's weights of 2015"):
        Inception(tmp_path / "other.pth")


def test_a_weight_file_that_would_run_something_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "module.pth")
    with pytest.raises(WeightsError, match="convert"):
        Inception(tmp_path / "module.pth")


@pytest.mark.parametrize("size", [(1, 1), (7, 500), (300, 300)])
def test_features_are_means_over_a_resized_image(size: tuple[int, int]) -> None:
    backbone = FeatureBackbone(nn.Conv2d(3, 5, 1), InputSpec())
    with torch.inference_mode():
        found = PooledFeatures(backbone)(image(*size))
        seen = F.interpolate(image(*size), (224, 224), mode="bicubic", antialias=True).clamp(-1, 1)
        wanted = backbone.network(seen).mean((2, 3))[0]
    assert found.tolist() == pytest.approx(wanted.tolist(), abs=1e-5)
    small = PooledFeatures(FeatureBackbone(nn.Flatten(), InputSpec(size=(2, 3))))
    assert small(image(*size)).shape == (18,)
