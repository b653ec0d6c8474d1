"""The paper's face network: its names, its size, and that it never starts at random."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from regionloss_face.iresnet import IResNet, IResNet50

from regionloss.errors import WeightsError
from regionloss.testing.contracts import FeatureBackboneContract


@pytest.fixture(scope="module")
def random_file(tmp_path_factory):
    """A file of InsightFace's format with random weights that keep activations in range."""
    torch.manual_seed(0)
    network = IResNet()
    for name, buffer in network.named_buffers():
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
        elif name.endswith("running_mean"):
            buffer.normal_(0, 0.1)
    file = tmp_path_factory.mktemp("weights") / "backbone.pth"
    torch.save(network.state_dict(), file)
    return file


@pytest.fixture(scope="module")
def backbone(random_file) -> IResNet50:
    return IResNet50(weights=str(random_file))


class TestContract(FeatureBackboneContract):
    @pytest.fixture(autouse=True)
    def given(self, backbone) -> None:
        self.backbone = backbone

    def make(self):
        return self.backbone


def test_is_insightfaces_network() -> None:
    """43,590,848 parameters and the 475 names of its `backbone.pth`."""
    network = IResNet()
    names = set(network.state_dict())
    assert sum(p.numel() for p in network.parameters()) == 43_590_848
    assert len(names) == 475
    assert {"conv1.weight", "bn1.num_batches_tracked", "prelu.weight", "fc.bias", "features.running_var"} <= names
    assert {"layer3.13.bn3.bias", "layer4.0.downsample.1.weight", "layer1.0.prelu.weight", "bn2.bias"} <= names
    assert [name for name in names if "downsample" in name and ".0." not in name] == []


def test_levels_and_a_block_by_hand(random_file, backbone) -> None:
    """The first block, written out: norm, convolution, norm, PReLU, convolution of stride 2, norm, shortcut."""
    crops = torch.rand(1, 3, 112, 112, generator=torch.Generator().manual_seed(0)) * 2 - 1
    levels = backbone(crops)
    assert [tuple(level.shape[1:]) for level in levels] == [
        (64, 112, 112), (64, 56, 56), (128, 28, 28), (256, 14, 14), (512, 7, 7),
    ]  # fmt: skip
    w = torch.load(random_file, weights_only=True)

    def norm(x, name):
        return F.batch_norm(
            x, w[f"{name}.running_mean"], w[f"{name}.running_var"], w[f"{name}.weight"], w[f"{name}.bias"]
        )

    x = F.prelu(norm(F.conv2d(crops, w["conv1.weight"], padding=1), "bn1"), w["prelu.weight"])
    torch.testing.assert_close(levels[0], x)
    for block in range(3):
        at, stride = f"layer1.{block}", 2 if block == 0 else 1
        y = F.conv2d(norm(x, f"{at}.bn1"), w[f"{at}.conv1.weight"], padding=1)
        y = F.prelu(norm(y, f"{at}.bn2"), w[f"{at}.prelu.weight"])
        y = norm(F.conv2d(y, w[f"{at}.conv2.weight"], stride=stride, padding=1), f"{at}.bn3")
        if block == 0:
            x = norm(F.conv2d(x, w[f"{at}.downsample.0.weight"], stride=2), f"{at}.downsample.1")
        x = x + y
    torch.testing.assert_close(levels[1], x, atol=1e-4, rtol=1e-4)


def test_embedding(backbone) -> None:
    crops = torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(0)) * 2 - 1
    expected = backbone.network.embed(crops)
    assert expected.shape == (2, 512)
    assert torch.equal(backbone(crops, crops, ("embedding",))[0][-1], expected)


def test_checkpoints_of_a_training_are_read(random_file, backbone, tmp_path) -> None:
    """InsightFace's `checkpoint_gpu_0.pt`: within DDP, beside the classes and the optimizer; from an old torch."""
    trained = torch.load(random_file, weights_only=True)
    held = {f"module.{name}": value for name, value in trained.items() if "num_batches_tracked" not in name}
    rest = {"epoch": 2, "state_dict_softmax_fc": {"weight": torch.zeros(3, 512)}, "state_optimizer": {"state": {}}}
    torch.save({**rest, "state_dict_backbone": held}, tmp_path / "checkpoint_gpu_0.pt")
    crops = torch.rand(1, 3, 112, 112) * 2 - 1
    for key in ("", "state_dict_backbone"):
        found = IResNet50(weights=str(tmp_path / "checkpoint_gpu_0.pt"), key=key)
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(found(crops), backbone(crops), strict=True))
    with pytest.raises(WeightsError, match=r"in 'ema': .* got them in 'state_dict_softmax_fc', .*Choose another key\."):
        IResNet50(weights=str(tmp_path / "checkpoint_gpu_0.pt"), key="ema")


def test_an_onnx_file_says_that_it_is_one(tmp_path) -> None:
    for name in ("w600k_r50.onnx", "backbone.pth"):
        (tmp_path / name).write_bytes(b"\x08\x08\x12\x07pytorch\x3a\x80\x80\x04" + bytes(200))
        with pytest.raises(WeightsError, match=r"expected weights of PyTorch or safetensors, got an ONNX file\."):
            IResNet50(weights=str(tmp_path / name))


def test_never_random(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("REGIONLOSS_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match=r"'arcface-r50' not found in .*\. Put the file there as backbone\.pth\."):
        IResNet50()


def test_another_file_is_refused(tmp_path) -> None:
    file = tmp_path / "other.pth"
    torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7), "head": torch.zeros(1)}, file)
    wanted = r"expected the 475 tensors of the network, got 395 missing \(bn1\.bias\), 1 unknown \(head\), 1 of another"
    with pytest.raises(WeightsError, match=wanted):
        IResNet50(weights=str(file))
