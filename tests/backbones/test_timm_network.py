"""Levels against timm's own other ways to them."""

from __future__ import annotations

import pytest
import torch

from regionloss.errors import InputError, UnknownNameError, WeightsError
from regionloss.testing.contracts import FeatureBackboneContract

timm = pytest.importorskip("timm")
from regionloss.backbones.timm_network import TimmBackbone  # noqa: E402

MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


@pytest.fixture(scope="module")
def resnet(tmp_path_factory):
    torch.manual_seed(0)
    network = timm.create_model("resnet18", pretrained=False).eval()
    file = tmp_path_factory.mktemp("timm") / "resnet18.pth"
    torch.save(network.state_dict(), file)
    return network, TimmBackbone("resnet18", str(file), out_indices=(1, 2)), file


@pytest.fixture(scope="module")
def dino(tmp_path_factory):
    """DINOv2 with registers, small, as its authors' file has it: a mask token beside, 37 x 37 places."""
    torch.manual_seed(0)
    network = timm.create_model("vit_small_patch14_reg4_dinov2", pretrained=False).eval()
    file = tmp_path_factory.mktemp("dino") / "dinov2.pth"
    torch.save(network.state_dict() | {"mask_token": torch.zeros(1, 384)}, file)
    return network, file


@pytest.fixture(scope="module")
def small_dino(dino):
    return TimmBackbone("vit_small_patch14_reg4_dinov2", str(dino[1]), out_indices=(1, -1), size=(28, 56))


class TestResnet(FeatureBackboneContract):
    @pytest.fixture(autouse=True)
    def given(self, resnet) -> None:
        self.backbone = resnet[1]

    def make(self):
        return self.backbone


class TestDino(FeatureBackboneContract):
    @pytest.fixture(autouse=True)
    def given(self, small_dino) -> None:
        self.backbone = small_dino

    def make(self):
        return self.backbone


def test_equals_timms_own_features(resnet) -> None:
    """`features_only`, timm's other way to levels, with the same weights."""
    network, backbone, _ = resnet
    other = timm.create_model("resnet18", pretrained=False, features_only=True, out_indices=(1, 2)).eval()
    other.load_state_dict({name: network.state_dict()[name] for name in other.state_dict()})
    crops = torch.rand(1, 3, 64, 64) * 2 - 1
    images = ((crops + 1) / 2 - MEAN.view(3, 1, 1)) / STD.view(3, 1, 1)
    with torch.no_grad():
        for ours, wanted in zip(backbone(crops), other(images), strict=True):
            torch.testing.assert_close(ours, wanted, atol=1e-4, rtol=1e-4)


def test_tokens_of_dino_are_maps_without_class_and_registers(dino) -> None:
    """Against the tokens of the last block, at the size of the crops, laid out row by row."""
    network, file = dino
    backbone = TimmBackbone("vit_small_patch14_reg4_dinov2", str(file), out_indices=[-1], size=[28, 56])
    crops = torch.rand(1, 3, 28, 56) * 2 - 1
    kept = []
    other = timm.create_model("vit_small_patch14_reg4_dinov2", pretrained=False, dynamic_img_size=True).eval()
    other.load_state_dict(network.state_dict())
    other.blocks[-1].register_forward_hook(lambda *given: kept.append(given[-1]))
    with torch.no_grad():
        (level,) = backbone(crops)
        other(((crops + 1) / 2 - MEAN.view(3, 1, 1)) / STD.view(3, 1, 1))
    assert level.shape == (1, 384, 2, 4)
    assert kept[0].shape == (1, 1 + 4 + 8, 384)
    for place in range(8):
        wanted = kept[0][0, 5 + place]
        torch.testing.assert_close(level[0, :, place // 4, place % 4], wanted, atol=1e-4, rtol=1e-3)


def test_weights_of_the_hubs_cache(resnet, tmp_path, monkeypatch) -> None:
    """A file that huggingface_hub itself put there is found by the network's name, and nothing is fetched."""
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(
        WeightsError, match=r"expected timm's file, timm/resnet18\.a1_in1k in the cache .*, got none\. Se"
    ):
        TimmBackbone("resnet18.a1_in1k")
    repository = tmp_path / "models--timm--resnet18.a1_in1k"
    snapshot = repository / "snapshots" / "c0ffee"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("c0ffee")
    from safetensors.torch import save_file

    save_file({k: v.contiguous() for k, v in resnet[0].state_dict().items()}, snapshot / "model.safetensors")
    assert TimmBackbone.weights_of({"network": "resnet18"}) == str(snapshot / "model.safetensors")
    crops = torch.rand(1, 3, 64, 64)
    ours = TimmBackbone("resnet18.a1_in1k", out_indices=(1, 2))(crops)
    assert all(torch.equal(a, b) for a, b in zip(ours, resnet[1](crops), strict=True))


def test_normalisation_is_the_networks_own_or_given(resnet) -> None:
    file = str(resnet[2])
    own = TimmBackbone("resnet18.a1_in1k", file).input_spec
    assert (own.mean, own.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    given = TimmBackbone("resnet18", file, mean=[0.5, 0.5, 0.5], std=[0.5, 0.5, 0.5]).input_spec
    assert (given.mean, given.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def test_mistakes_are_sentences(resnet, dino) -> None:
    file = str(resnet[2])
    with pytest.raises(UnknownNameError, match=r"timm has no network named 'resnet81'\. Did you mean 'resnet18"):
        TimmBackbone("resnet81", file)
    with pytest.raises(WeightsError, match=r"expected the \d+ tensors of the network"):
        TimmBackbone("resnet34", file)
    with pytest.raises(WeightsError, match=r"expected the \d+ tensors of the network"):
        TimmBackbone("vit_small_patch14_reg4_dinov2", file)
    with pytest.raises(InputError, match=r"timm\.out_indices: expected numbers of the network's levels, got \[9\]"):
        TimmBackbone("resnet18", file, out_indices=[9])(torch.zeros(1, 3, 64, 64))
    with pytest.raises(
        InputError, match=r"timm\.size: expected one that the network takes, 518 x 518 say, got 30 x 56"
    ):
        TimmBackbone("vit_small_patch14_reg4_dinov2", str(dino[1]), size=(30, 56))
