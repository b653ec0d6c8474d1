"""Weights for a network, wherever files of trainings keep them; compared with torch's own `load_state_dict`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from regionloss.errors import WeightsError
from regionloss.weights import load_state_dict, load_strictly


def network(width: int = 4) -> nn.Module:
    part = nn.Sequential(nn.Conv2d(width, width, 1), nn.BatchNorm2d(width))
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), part)


@pytest.fixture
def trained() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return {name: torch.rand(value.shape).to(value.dtype) for name, value in network().state_dict().items()}


def without_counters(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in tensors.items() if not name.endswith("num_batches_tracked")}


def under(prefix: str) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda tensors: {prefix + name: value for name, value in tensors.items()}


def of_a_training(tensors: dict[str, Tensor]) -> dict[str, Any]:
    """As InsightFace's `checkpoint_gpu_0.pt`, from a network within DDP."""
    classes = {"weight": torch.zeros(5, 2)}
    momenta = {"state": {0: {"momentum_buffer": torch.zeros(4, 3, 3, 3)}}, "param_groups": [{"lr": 0.1}]}
    return {
        "epoch": 3, "global_step": 7, "state_dict_backbone": under("module.")(tensors),
        "state_dict_softmax_fc": classes, "state_optimizer": momenta,
    }  # fmt: skip


SAVED: dict[str, Callable[[dict[str, Tensor]], Any]] = {
    "bare": dict,
    "old torch": without_counters,
    "DDP": under("module."),
    "compiled in DDP in a model": under("model.module._orig_mod.backbone."),
    "old torch and DDP": lambda tensors: under("module.")(without_counters(tensors)),
    "with a head": lambda tensors: under("backbone.")(tensors) | {"head.weight": torch.zeros(5, 4)},
    "InsightFace's training": of_a_training,
    "Lightning": lambda tensors: {"epoch": 1, "state_dict": under("net.")(tensors), "loops": {"fit": {}}},
    "an entry in an entry": lambda tensors: {"generator": {"state_dict": tensors}, "step": torch.tensor(3)},
    "half precision": lambda tensors: {name: v.half() if v.is_floating_point() else v for name, v in tensors.items()},
}


@pytest.mark.parametrize("saved", SAVED)
def test_a_network_is_found_where_trainings_put_it(saved: str, trained: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(SAVED[saved](trained), tmp_path / "net.pt")
    wanted, found = network(), network()
    wanted.load_state_dict(trained)
    load_strictly(found, tmp_path / "net.pt")
    exact = 1e-3 if saved == "half precision" else 0
    for name, value in without_counters(wanted.state_dict()).items():
        torch.testing.assert_close(found.state_dict()[name], value, atol=exact, rtol=0)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda t: {n: t[n] for n in t if n != "2.0.bias"}, r"the 14 tensors of the network, got 1 missing \(2\."),
        (lambda t: t | {"head": torch.zeros(1)}, r"got 1 unknown \(head\)\."),
        (lambda t: t | {"0.bias": torch.zeros(5)}, r"got 1 of another shape \(0\.bias\)\."),
        (lambda t: under("module.")(t | {"head": torch.zeros(1)}), r"got 1 unknown \(head\)\."),
        (lambda t: under("module.")(t | {"0.bias": torch.zeros(5)}), r"got 1 of another shape \(0\.bias\)\."),
        (lambda t: {"epoch": 3, "names": {"a": "b"}}, r"got no tensors\."),
        (lambda t: {"model": t, "ema": under("module.")(t)}, r"got 2, in 'model', 'ema\.module'\. .*key='model'"),
    ],
)  # fmt: skip
def test_another_network_is_refused(make: Any, said: str, trained: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(make(trained), tmp_path / "net.pt")
    with pytest.raises(WeightsError, match=said):
        load_strictly(network(), tmp_path / "net.pt")


def test_of_several_networks_the_key_names_one(trained: dict[str, Tensor], tmp_path: Path) -> None:
    zeros = {name: torch.zeros_like(value) for name, value in trained.items()}
    torch.save(
        {"model": under("module.")(zeros), "ema": under("a.")(trained) | under("b.")(zeros)}, tmp_path / "net.pt"
    )
    for key, wanted in (("model", 0), ("model.module", 0), ("ema.a", trained["0.bias"]), ("ema.b", 0)):
        found = network()
        load_strictly(found, tmp_path / "net.pt", key=key)
        assert bool((found.get_parameter("0.bias") == wanted).all()), key
    with pytest.raises(
        WeightsError, match=r"in 'ema': expected one network of 14 tensors, got 2, in 'ema\.a', 'ema\.b'"
    ):
        load_strictly(network(), tmp_path / "net.pt", key="ema")
    with pytest.raises(
        WeightsError, match=r"in 'emma': .* got them in 'model', 'model\.module', .* Choose another key\."
    ):
        load_strictly(network(), tmp_path / "net.pt", key="emma")


def onnx_file(producer: bytes = b"\x12\x07pytorch") -> bytes:
    """The beginning of what torch.onnx.export writes: version, producer, a graph longer than what is here."""
    return b"\x08\x08" + producer + b"\x3a\x80\x80\x04" + bytes(200)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("net.onnx", onnx_file(), "an ONNX file"),
        ("net.pth", onnx_file(), "an ONNX file"),
        ("net.pth", onnx_file(b""), "an ONNX file"),
        ("net.onnx", b"", "an ONNX file"),
        ("net.pth", b"\x89HDF\r\n\x1a\n" + bytes(80), "an HDF5 file"),
        ("net.bin", b"\x20\0\0\0TFL3" + bytes(80), "a TensorFlow Lite file"),
        ("net.pth", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS"),
        ("net.pth", b"\n<!DOCTYPE html><html>", "a page of a web site"),
    ],
)
def test_files_of_other_kinds_say_what_they_are(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    for read in (load_state_dict, lambda file: load_strictly(network(), file)):
        with pytest.raises(WeightsError, match=rf"expected weights of PyTorch or safetensors, got {said}"):
            read(str(tmp_path / name))


def test_what_torch_writes_is_taken_for_nothing_else(trained: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(trained, tmp_path / "zip.pt")
    torch.save(trained, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    for file in ("zip.pt", "old.pt"):
        load_strictly(network(), tmp_path / file)
