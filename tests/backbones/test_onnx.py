"""ONNX networks against those that were exported, and against onnxruntime."""

from __future__ import annotations

import warnings
from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor, nn

from regionloss.backbones.onnx import OnnxBackbone, read_onnx
from regionloss.errors import InputError, WeightsError
from regionloss.testing.contracts import FeatureBackboneContract


class FaceNetwork(nn.Module):
    """What `w600k_r50.onnx` is made of, small: convolutions, PReLUs, batch norms, a linear layer on all of it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8), nn.PReLU(8))
        self.block = nn.Sequential(
            nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, 1, 1), nn.PReLU(8), nn.Conv2d(8, 8, 3, 2, 1), nn.BatchNorm2d(8)
        )
        self.short = nn.Conv2d(8, 8, 1, 2)
        self.end = nn.Sequential(nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8 * 14 * 14, 16), nn.BatchNorm1d(16))

    def forward(self, images: Tensor) -> Tensor:
        stem = self.stem(images)
        return self.end(self.block(stem) + self.short(stem))


class WordNetwork(nn.Module):
    """What PARSeq's encoder is made of, small: patches of 4 x 8, blocks of attention, a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, (4, 8), (4, 8))
        self.places = nn.Parameter(torch.randn(1, 64, 16))
        self.norms = nn.ModuleList([nn.LayerNorm(16) for _ in range(3)])
        self.qkv, self.out, self.up, self.down = (nn.Linear(a, b) for a, b in ((16, 48), (16, 16), (16, 32), (32, 16)))

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patches(images).flatten(2).transpose(1, 2) + self.places
        rows, count, width = tokens.shape
        q, k, v = self.qkv(self.norms[0](tokens)).reshape(rows, count, 3, 2, 8).permute(2, 0, 3, 1, 4).unbind(0)
        seen = ((q @ k.transpose(-2, -1)) * 8**-0.5).softmax(-1) @ v
        tokens = tokens + self.out(seen.transpose(1, 2).reshape(rows, count, width))
        tokens = tokens + self.down(nn.functional.gelu(self.up(self.norms[1](tokens))))
        return self.norms[2](tokens)


def exported(network: nn.Module, images: Tensor, file: Path, free: bool = True) -> nn.Module:
    """Write a network as torch exports it, for any number of images or for that of these.

    Return it, with statistics that are not those of the beginning.
    """
    torch.manual_seed(0)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.running_mean.uniform_(-1, 1)
            part.running_var.uniform_(0.5, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = {"images": {0: torch.export.Dim("rows")}} if free else None
        torch.onnx.export(
            network.eval(), (images,), file, input_names=["images"], dynamic_shapes=rows, external_data=False,
            verbose=False,
        )  # fmt: skip
    return network


@pytest.fixture(scope="module")
def face(tmp_path_factory):
    file = tmp_path_factory.mktemp("onnx") / "face.onnx"
    return exported(FaceNetwork(), torch.rand(2, 3, 28, 28), file), file


@pytest.fixture(scope="module")
def word(tmp_path_factory):
    file = tmp_path_factory.mktemp("onnx") / "word.onnx"
    return exported(WordNetwork(), torch.rand(2, 3, 32, 64), file), file


def last_sum(file: Path) -> str:
    """Return the name of the last sum of two tensors that are no weights."""
    graph = onnx.load(file).graph
    weights = {one.name for one in graph.initializer}
    return [node.output[0] for node in graph.node if node.op_type == "Add" and not weights & set(node.input)][-1]


def test_a_face_network_equals_the_exported_one(face) -> None:
    network, file = face
    images = torch.rand(3, 3, 28, 28, dtype=torch.float64) * 2 - 1
    ours = read_onnx(file).double()
    torch.testing.assert_close(ours(images)[0], network.double()(images), rtol=1e-6, atol=1e-7)
    network.float()


def test_gradients_are_those_of_the_exported_network(face) -> None:
    network, file = face
    images = torch.rand(2, 3, 28, 28)
    gradients = []
    for one in (read_onnx(file), network):
        given = images.clone().requires_grad_()
        found = one(given)
        (found[0] if isinstance(found, list) else found).square().sum().backward()
        gradients.append(given.grad)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)
    assert float(gradients[0].abs().min()) > 0


class TestFace(FeatureBackboneContract):
    @pytest.fixture(autouse=True)
    def given(self, face) -> None:
        self.backbone = OnnxBackbone(str(face[1]))

    def make(self) -> OnnxBackbone:
        return self.backbone

    def test_levels_are_the_last_of_each_size(self, face) -> None:
        network, _ = face
        assert self.backbone.input_spec.size == (28, 28)
        crops = self.crops()
        first, second = self.backbone(crops)
        torch.testing.assert_close(first, network.block[:3](network.stem(crops)), rtol=1e-4, atol=1e-4)
        stem = network.stem(crops)
        wanted = network.end[0](network.block(stem) + network.short(stem))
        torch.testing.assert_close(second, wanted, rtol=1e-4, atol=1e-4)


def test_tokens_of_words_are_maps(word) -> None:
    network, file = word
    crops = torch.rand(2, 3, 32, 64) * 2 - 1
    with pytest.raises(InputError, match=r"word\.onnx: taps: expected names, for a network with attention, got none"):
        OnnxBackbone(str(file))
    name = onnx.load(file).graph.output[0].name
    options = {"taps": [name, last_sum(file)], "prefix_tokens": 0, "patch_size": (4, 8)}
    found, raw = OnnxBackbone(str(file), **options)(crops)
    wanted = network(crops)
    assert found.shape == raw.shape == (2, 16, 8, 8)
    for place in range(64):
        ours = found[:, :, place // 8, place % 8]
        torch.testing.assert_close(ours, wanted[:, place], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(nn.functional.layer_norm(raw.movedim(1, -1), (16,)), found.movedim(1, -1))
    told = "expected 0 tokens and a grid of square patches, of crops of 32 x 64, got 64 tokens"
    with pytest.raises(InputError, match=told):
        OnnxBackbone(str(file), taps=[name], prefix_tokens=0)(crops)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5])
def test_any_number_of_images_where_the_file_has_one(count: int, tmp_path: Path) -> None:
    network = exported(WordNetwork(), torch.rand(2, 3, 32, 64), tmp_path / "two.onnx", free=False)
    crops = torch.rand(count, 3, 32, 64)
    (found,) = read_onnx(tmp_path / "two.onnx")(crops)
    torch.testing.assert_close(found, network(crops), rtol=1e-4, atol=1e-4)


def test_the_file_tells_what_it_takes(face, tmp_path) -> None:
    _, file = face
    with pytest.raises(InputError, match="expected 28 x 28 pixels, got 32 x 32"):
        OnnxBackbone(str(file))(torch.zeros(1, 3, 32, 32))
    with pytest.raises(InputError, match=r"face\.onnx: taps: expected names of outputs or operators, got 'nothing'"):
        OnnxBackbone(str(file), taps=["nothing"])
    with pytest.raises(WeightsError, match=r"gone\.onnx not found\. Check the path\."):
        OnnxBackbone(str(tmp_path / "gone.onnx"))
    whole = file.read_bytes()
    for name, content in (("half", whole[: len(whole) // 2]), ("none", b""), ("text", b"hello, world" * 9)):
        broken = tmp_path / f"{name}.onnx"
        broken.write_bytes(content)
        told = "expected an ONNX network, got a file that breaks off or is of another"
        with pytest.raises(WeightsError, match=told):
            OnnxBackbone(str(broken))
