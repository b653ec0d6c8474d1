"""Features against torchvision's own forward passes."""

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
    from regionloss.backbones.torchvision_network import TorchvisionBackbone

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
    from regionloss.backbones.torchvision_network import TorchvisionBackbone

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
    from regionloss.backbones.torchvision_network import TorchvisionBackbone

    with pytest.raises(UnknownNameError, match=r"torchvision has no network named 'mobilnet_v2'\. Did you mean 'mob"):
        TorchvisionBackbone("mobilnet_v2")
    monkeypatch.setenv("REGIONLOSS_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match=r"Run 'regionloss weights fetch mobilenet-v2'"):
        TorchvisionBackbone()
    with pytest.raises(WeightsError, match=r"gone\.pth not found\. Check the path\."):
        TorchvisionBackbone("resnet18", str(tmp_path / "gone.pth"), taps=["layer2"])


def test_layers_of_the_largest_sizes_where_none_are_chosen(tmp_path) -> None:
    torchvision = pytest.importorskip("torchvision")
    from regionloss.backbones.torchvision_network import TorchvisionBackbone

    file = tmp_path / "net.pth"
    torch.save(torchvision.models.shufflenet_v2_x0_5(weights=None).state_dict(), file)
    backbone = TorchvisionBackbone("shufflenet_v2_x0_5", str(file))
    assert backbone.taps == ("conv1", "maxpool", "stage2", "stage3")
    assert [tuple(level.shape[2:]) for level in backbone(torch.zeros(1, 3, 64, 96))] == [
        (32, 48),
        (16, 24),
        (8, 12),
        (4, 6),
    ]


def test_a_vision_transformer_gives_maps_without_its_class(tmp_path) -> None:
    """Against the tokens of the block itself, laid out row by row."""
    torchvision = pytest.importorskip("torchvision")
    from regionloss.backbones.token_grid import as_map
    from regionloss.backbones.torchvision_network import default_taps

    network = torchvision.models.VisionTransformer(64, 16, 4, 2, 32, 64).eval()
    assert default_taps(network)[1:] == (
        "encoder.layers.encoder_layer_1",
        "encoder.layers.encoder_layer_2",
        "encoder.layers.encoder_layer_3",
    )
    kept = []
    network.encoder.layers[1].register_forward_hook(lambda *given: kept.append(given[-1].detach()))
    network(torch.rand(1, 3, 64, 64))
    level = as_map(kept[0], 1, (64, 64), "vit")
    for place in range(16):
        assert torch.equal(level[0, :, place // 4, place % 4], kept[0][0, 1 + place])


def test_weights_of_torch_hubs_cache_by_name(tmp_path, monkeypatch) -> None:
    """`DEFAULT` alone where nothing is said: what is there by chance means nothing."""
    torchvision = pytest.importorskip("torchvision")
    from regionloss.backbones.torchvision_network import TorchvisionBackbone

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    network = torchvision.models.mobilenet_v3_small(weights=None)
    known = torchvision.models.MobileNet_V3_Small_Weights
    file = tmp_path / "hub" / "checkpoints" / known.DEFAULT.url.rpartition("/")[2]
    with pytest.raises(
        WeightsError, match=rf"expected torchvision's file DEFAULT as .*{file.name}, got none\. Set 'weig"
    ):
        TorchvisionBackbone("mobilenet_v3_small")
    file.parent.mkdir(parents=True)
    torch.save(network.state_dict(), file)
    for weights in ("", "IMAGENET1K_V1"):
        assert TorchvisionBackbone.weights_of({"network": "mobilenet_v3_small", "weights": weights}) == str(file)
    assert len(TorchvisionBackbone("mobilenet_v3_small").taps) == 4


def test_images_are_normalised_as_the_weights_were_trained() -> None:
    pytest.importorskip("torchvision")
    from regionloss.backbones.torchvision_network import normalisation

    assert normalisation("efficientnet_v2_l", "mine.pth") == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    mean, std = normalisation("resnet50", "mine.pth")
    assert (tuple(mean), tuple(std)) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
