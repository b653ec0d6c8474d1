"""Features against torchvision's and timm's own forward passes."""

from __future__ import annotations

import pytest
import torch

from regionloss.errors import InputError, UnknownNameError, WeightsError
from regionloss.testing.contracts import FeatureBackboneContract

MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


@pytest.fixture(scope="module")
def mobilenet(weights):
    pytest.importorskip("torchvision")
    weights("mobilenet-v2")
    from regionloss_logo.torchvision_backbone import TorchvisionBackbone

    return TorchvisionBackbone()


@pytest.mark.weights
class TestContract(FeatureBackboneContract):
    @pytest.fixture(autouse=True)
    def given(self, mobilenet) -> None:
        self.backbone = mobilenet

    def make(self):
        return self.backbone


@pytest.mark.weights
def test_equals_torchvisions_own_network(mobilenet, weights) -> None:
    """Its `features`, block by block, on images that its own way normalises."""
    import torchvision

    network = torchvision.models.mobilenet_v2(weights=None).eval()
    network.load_state_dict(torch.load(weights("mobilenet-v2"), weights_only=True))
    crops = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(0)) * 2 - 1
    features = ((crops + 1) / 2 - MEAN.view(3, 1, 1)) / STD.view(3, 1, 1)
    wanted = {}
    with torch.no_grad():
        for number, block in enumerate(network.features):
            features = block(features)
            wanted[number] = features
        found = mobilenet(crops)
    assert [tuple(level.shape[1:]) for level in found] == [(16, 64, 64), (24, 32, 32), (32, 16, 16), (96, 8, 8)]
    for ours, number in zip(found, (1, 3, 6, 13), strict=True):
        torch.testing.assert_close(ours, wanted[number], atol=1e-4, rtol=1e-4)


@pytest.mark.weights
def test_the_network_knows_what_it_sees(weights) -> None:
    """The packaged file is the trained one: a cat is a cat (ImageNet's 281 to 285)."""
    skimage_data = pytest.importorskip("skimage.data")
    import torchvision

    network = torchvision.models.mobilenet_v2(weights=None).eval()
    network.load_state_dict(torch.load(weights("mobilenet-v2"), weights_only=True))
    cat = torch.from_numpy(skimage_data.chelsea()[:, 75:375].copy()).permute(2, 0, 1)[None] / 255
    cat = torch.nn.functional.interpolate(cat, (224, 224), mode="bilinear", antialias=True)
    with torch.no_grad():
        best = int(network((cat - MEAN.view(3, 1, 1)) / STD.view(3, 1, 1)).argmax())
    assert 281 <= best <= 285


def test_another_network_of_torchvision(tmp_path) -> None:
    torchvision = pytest.importorskip("torchvision")
    from regionloss_logo.torchvision_backbone import TorchvisionBackbone

    torch.manual_seed(0)
    network = torchvision.models.resnet18(weights=None).eval()
    file = tmp_path / "resnet18.pth"
    torch.save(network.state_dict(), file)
    crops = torch.rand(1, 3, 64, 64) * 2 - 1
    (found,) = TorchvisionBackbone("resnet18", str(file), taps=["layer2"])(crops)
    features = ((crops + 1) / 2 - MEAN.view(3, 1, 1)) / STD.view(3, 1, 1)
    with torch.no_grad():
        for name in ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2"):
            features = getattr(network, name)(features)
    torch.testing.assert_close(found, features, atol=1e-4, rtol=1e-4)
    with pytest.raises(InputError, match=r"torchvision\.taps: resnet18 has no layer 'leyer2'\. Did you mean 'layer2"):
        TorchvisionBackbone("resnet18", str(file), taps=["leyer2"])
    with pytest.raises(WeightsError, match=r"expected the \d+ tensors of the network, got \d+ missing"):
        TorchvisionBackbone("resnet34", str(file), taps=["layer2"])


def test_unknown_networks_and_missing_weights(tmp_path, monkeypatch) -> None:
    pytest.importorskip("torchvision")
    from regionloss_logo.torchvision_backbone import TorchvisionBackbone

    with pytest.raises(UnknownNameError, match=r"torchvision has no network named 'mobilnet_v2'\. Did you mean 'mob"):
        TorchvisionBackbone("mobilnet_v2")
    monkeypatch.setenv("REGIONLOSS_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match=r"Run 'regionloss weights fetch mobilenet-v2'"):
        TorchvisionBackbone()
    with pytest.raises(WeightsError, match=r"gone\.pth not found\. Check the path\."):
        TorchvisionBackbone("resnet18", str(tmp_path / "gone.pth"), taps=["layer2"])


class TestTimm(FeatureBackboneContract):
    @pytest.fixture(autouse=True)
    def given(self, timm_network) -> None:
        self.backbone = timm_network[1]

    def make(self):
        return self.backbone


@pytest.fixture(scope="module")
def timm_network(tmp_path_factory):
    timm = pytest.importorskip("timm")
    from regionloss_logo.timm_backbone import TimmBackbone

    torch.manual_seed(0)
    network = timm.create_model("resnet18", pretrained=False).eval()
    file = tmp_path_factory.mktemp("timm") / "resnet18.pth"
    torch.save(network.state_dict(), file)
    return network, TimmBackbone("resnet18", str(file), out_indices=(1, 2)), file


def test_equals_timms_own_features(timm_network) -> None:
    """`features_only`, timm's other way to levels, with the same weights."""
    import timm

    network, backbone, _ = timm_network
    other = timm.create_model("resnet18", pretrained=False, features_only=True, out_indices=(1, 2)).eval()
    other.load_state_dict({name: network.state_dict()[name] for name in other.state_dict()})
    crops = torch.rand(1, 3, 64, 64) * 2 - 1
    images = ((crops + 1) / 2 - MEAN.view(3, 1, 1)) / STD.view(3, 1, 1)
    with torch.no_grad():
        for ours, wanted in zip(backbone(crops), other(images), strict=True):
            torch.testing.assert_close(ours, wanted, atol=1e-4, rtol=1e-4)


def test_timms_mistakes_are_sentences(timm_network) -> None:
    from regionloss_logo.timm_backbone import TimmBackbone

    file = str(timm_network[2])
    with pytest.raises(UnknownNameError, match=r"timm has no network named 'resnet81'\. Did you mean 'resnet18"):
        TimmBackbone("resnet81", file)
    with pytest.raises(WeightsError, match=r"expected the \d+ tensors of the network"):
        TimmBackbone("resnet34", file)
    with pytest.raises(InputError, match=r"timm\.out_indices: expected numbers of the network's levels, got \[9\]"):
        TimmBackbone("resnet18", file, out_indices=[9])(torch.zeros(1, 3, 64, 64))
