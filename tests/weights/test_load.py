"""Reading tensors, and converting what holds more than tensors without running it."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from regionloss.errors import InputError, WeightsError
from regionloss.hooks.records import WeightRecord
from regionloss.weights import load_state_dict
from regionloss.weights.cache import sha256_of
from regionloss.weights.convert import convert

DATA = Path(__file__).parents[1] / "golden" / "weights"


@pytest.fixture
def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2))


def same(found: dict[str, torch.Tensor], wanted: dict[str, Any]) -> bool:
    return found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_a_state_dict(tmp_path: Path, network: nn.Module) -> None:
    torch.save(network.state_dict(), tmp_path / "x.pth")
    save_file(network.state_dict(), tmp_path / "x.safetensors")
    assert same(load_state_dict(tmp_path / "x.pth"), network.state_dict())
    assert same(load_state_dict(str(tmp_path / "x.safetensors")), network.state_dict())


def test_a_name(cache: Path, network: nn.Module, record: Callable[..., WeightRecord], plugin: Any) -> None:
    cache.mkdir(parents=True)
    torch.save(network.state_dict(), cache / "a.pt")
    known = record(sha256=sha256_of(cache / "a.pt"), name="a.v1")
    plugin(known)
    assert same(load_state_dict("a.v1"), network.state_dict())
    assert same(load_state_dict(known), network.state_dict())


def test_a_wrapped_state_dict_is_unwrapped_when_asked(tmp_path: Path, network: nn.Module) -> None:
    inner = {f"module.{name}": tensor for name, tensor in network.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": inner}, tmp_path / "x.pth")
    assert same(load_state_dict(tmp_path / "x.pth", key="state_dict"), inner)
    stripped = load_state_dict(tmp_path / "x.pth", key="state_dict", strip_prefix="module.")
    assert same(stripped, network.state_dict())
    with pytest.raises(WeightsError) as error:
        load_state_dict(tmp_path / "x.pth")
    assert str(error.value) == (
        f"{tmp_path}/x.pth, entry 'epoch': expected a tensor, got int. "
        "Choose the entry that holds them: key='state_dict'."
    )
    with pytest.raises(WeightsError) as error:
        load_state_dict(tmp_path / "x.pth", key="model")
    assert str(error.value) == (
        f"{tmp_path}/x.pth: expected an entry 'model', got entries epoch, state_dict. Choose another key."
    )


def test_entries_in_entries(tmp_path: Path, network: nn.Module) -> None:
    """As averages are kept, beside their decay; names may hold dots themselves."""
    held = {"args": {"lr": 1}, "ema": {"decay": 0.9, "module": network.state_dict()}, "a.b": {"w": torch.ones(1)}}
    torch.save(held, tmp_path / "x.pth")
    assert same(load_state_dict(tmp_path / "x.pth", key="ema.module"), network.state_dict())
    assert load_state_dict(tmp_path / "x.pth", key="a.b")["w"] == 1
    for key in ("ema.model", "ema.module.1.weight.x", "ema."):
        with pytest.raises(WeightsError, match=f"expected (an entry '{key}'|tensors by name|a tensor)"):
            load_state_dict(tmp_path / "x.pth", key=key)
    del held["a.b"]
    torch.save(held, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=r"Choose the entry that holds them: key='ema\.module'\."):
        load_state_dict(tmp_path / "x.pth")
    done = convert(tmp_path / "x.pth")
    assert (done.entry, same(load_state_dict(done.path), network.state_dict())) == ("ema.module", True)


def test_what_holds_itself_ends(tmp_path: Path, network: nn.Module) -> None:
    """A crafted file may, a thousand times over; so may a module that was saved whole."""
    held: dict[str, Any] = {str(number): {} for number in range(200)}
    for value in held.values():
        value.update(held)
    network[1].a = network[1].b = network  # type: ignore[union-attr, assignment]
    held |= {"state_dict": {"w": torch.ones(2)}, "net": network}
    torch.save(held, tmp_path / "x.pth")
    assert convert(tmp_path / "x.pth").entry == "state_dict"
    convert(tmp_path / "x.pth", key="net")


def test_deepspeeds_module_is_converted(tmp_path: Path, network: nn.Module) -> None:
    torch.save({"module": network.state_dict(), "optimizer": {"state": {0: {"m": torch.ones(1)}}}}, tmp_path / "x.pth")
    assert convert(tmp_path / "x.pth").entry == "module"


def test_more_than_tensors_names_the_command() -> None:
    file = DATA / "mmengine_checkpoint.pth"
    with pytest.raises(WeightsError) as error:
        load_state_dict(file, key="state_dict")
    assert str(error.value) == (
        f"{file}: expected tensors only, got other objects among them. "
        f"If you trust where it came from, run 'regionloss weights convert {file} --trust'."
    )


@pytest.mark.parametrize("name", ["x.pth", "x.safetensors"])
@pytest.mark.parametrize("keep", [0, 10, 600])
def test_a_truncated_file_is_a_sentence(tmp_path: Path, network: nn.Module, name: str, keep: int) -> None:
    file = tmp_path / name
    (torch.save if name == "x.pth" else save_file)(network.state_dict(), file)
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(WeightsError, match=rf"{name}: cannot be read as weights.*\. Is the file whole\?$"):
        load_state_dict(file)


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"weight file .*x\.pth not found\. Check the path\."):
        load_state_dict(tmp_path / "x.pth")
    with pytest.raises(WeightsError, match="not found"):
        convert(tmp_path / "x.pth")


def test_convert_reads_a_checkpoint_of_mmengine_without_mmengine(tmp_path: Path, network: nn.Module) -> None:
    done = convert(DATA / "mmengine_checkpoint.pth", tmp_path / "x.safetensors")
    assert (done.entry, done.tensors, done.sha256) == ("state_dict", 7, sha256_of(done.path))
    assert same(load_state_dict(done.path), network.state_dict())
    with safe_open(done.path, "pt") as opened:
        assert opened.metadata()["source_sha256"] == sha256_of(DATA / "mmengine_checkpoint.pth")


class Hostile:
    """Runs a command when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("zipped", [True, False])
def test_convert_runs_nothing(tmp_path: Path, network: nn.Module, zipped: bool) -> None:
    held = {"state_dict": network.state_dict(), "hook": Hostile(tmp_path / "ran")}
    torch.save(held, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    done = convert(tmp_path / "x.pth")
    assert done.path == tmp_path / "x.safetensors"
    assert same(load_state_dict(done.path), network.state_dict())
    assert not (tmp_path / "ran").exists()
    torch.load(tmp_path / "x.pth", weights_only=False)  # the file is as hostile as it claims to be
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("protocol", [2, 4])
def test_convert_reads_a_module_that_was_saved_whole(tmp_path: Path, protocol: int) -> None:
    module = nn.Sequential(OrderedDict(a=nn.Linear(2, 3), b=nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1))))
    torch.save(module, tmp_path / "x.pth", pickle_protocol=protocol)
    done = convert(tmp_path / "x.pth")
    assert same(load_state_dict(done.path), module.state_dict())


def test_convert_keeps_dtypes_shapes_and_shared_weights(tmp_path: Path) -> None:
    shared = torch.arange(6.0).reshape(2, 3)
    held = {"a": shared, "b": shared.t(), "c": shared.bfloat16(), "d": torch.tensor(3), "e": torch.zeros(2) > 0}
    torch.save({"model": held, "optimizer": {"lr": 1.0}}, tmp_path / "x.pth")
    found = load_state_dict(convert(tmp_path / "x.pth").path)
    assert same(found, held)
    assert {name: tensor.dtype for name, tensor in found.items()} == {n: t.dtype for n, t in held.items()}


def test_convert_takes_the_entry_that_is_named(tmp_path: Path) -> None:
    held = {"generator": {"w": torch.ones(2)}, "discriminator": {"w": torch.zeros(2)}}
    torch.save(held, tmp_path / "x.pth")
    done = convert(tmp_path / "x.pth", key="discriminator")
    assert load_state_dict(done.path)["w"].tolist() == [0, 0]
    with pytest.raises(WeightsError) as error:
        convert(tmp_path / "x.pth")
    assert str(error.value) == (
        f"{tmp_path}/x.pth: expected tensors by name, got none. Name the entry that holds them with --key."
    )
    with pytest.raises(WeightsError, match="expected an entry 'encoder', got entries generator, discriminator"):
        convert(tmp_path / "x.pth", key="encoder")


def test_convert_refuses_what_it_cannot_convert(tmp_path: Path, network: nn.Module) -> None:
    (tmp_path / "x.pth").write_bytes(pickle.dumps("no checkpoint"))
    with pytest.raises(WeightsError, match=r"cannot be read as a checkpoint \(.*\)\. Is the file whole\?"):
        convert(tmp_path / "x.pth")
    with pytest.raises(InputError, match=r"out: expected another file that ends in '\.safetensors', got .*x\.bin\."):
        convert(tmp_path / "x.pth", tmp_path / "x.bin")
    assert [file.name for file in tmp_path.iterdir() if "safetensors" in file.name] == []


@pytest.mark.filterwarnings("ignore:.*torch.jit")  # on its way out, but such files exist
def test_convert_refuses_a_program(tmp_path: Path, network: nn.Module) -> None:
    torch.jit.script(network).save(str(tmp_path / "x.pt"))
    with pytest.raises(WeightsError, match="expected a checkpoint, got a TorchScript program"):
        convert(tmp_path / "x.pt")
