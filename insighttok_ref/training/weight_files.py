"""Files of weights that are too large to be held at once: written one after another, read in parts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from safetensors import safe_open
from torch import Tensor

from insighttok_ref.training.checkpoint import WHAT
from insighttok_ref.training.host_copies import host_copy
from regionloss.errors import WeightsError, expected
from regionloss.weights import readable

#: How the format calls a type.
TYPES = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}
#: How AdamW calls a weight's first and second moment.
MOMENTS = ("exp_avg", "exp_avg_sq")


class Form(NamedTuple):
    """Type and shape of a tensor."""

    dtype: torch.dtype
    shape: tuple[int, ...]


def write_tensors(
    file: Path, forms: Mapping[str, Form], tensors: Iterable[tuple[str, Tensor]], told: Mapping[str, str]
) -> None:
    """Write a file of safetensors, of which only one tensor is in memory at a time.

    Args:
        file: File to write.
        forms: Types and shapes by name, in the order in which the tensors come.
        tensors: Names and tensors, on any device.
        told: Texts that the file holds about them.

    Source: the format's description in the repository of safetensors: length, header, bytes.
    """
    header: dict[str, Any] = {"__metadata__": dict(told)} if told else {}
    end = 0
    for name, form in forms.items():
        begin, end = end, end + prod(form.shape) * form.dtype.itemsize
        header[name] = {"dtype": TYPES[form.dtype], "shape": form.shape, "data_offsets": (begin, end)}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with file.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for (name, tensor), wanted in zip(tensors, forms, strict=True):
            assert (name, tensor.shape, tensor.dtype) == (wanted, *reversed(forms[wanted])), name
            stream.write(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)


class TensorFile:
    """What a file of safetensors is to hold, made one tensor after another when it is written, or copied.

    Args:
        tensors: Called for the names and tensors.
        told: Texts about them.
    """

    def __init__(self, tensors: Callable[[], Iterable[tuple[str, Tensor]]], told: Mapping[str, str]) -> None:
        self.tensors, self.told = tensors, told

    def write(self, file: Path) -> None:
        """Write the file."""
        forms = {name: Form(tensor.dtype, tuple(tensor.shape)) for name, tensor in self.tensors()}
        write_tensors(file, forms, self.tensors(), self.told)

    def __deepcopy__(self, memo: dict[int, Any]) -> TensorFile:
        return TensorFile({name: host_copy(tensor) for name, tensor in self.tensors()}.items, self.told)


class Weights(Protocol):
    """Weights by name, on disk or held."""

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Shapes of the weights."""

    def part(self, name: str, first: int, last: int) -> Tensor:
        """Return the numbers from `first` to before `last` of a weight, all its axes after one another."""


class WholeWeights:
    """Files of safetensors with whole weights, of which no more is read than is asked for.

    Args:
        files: Files that have them all.
        what: What they should be, for sentences.

    Raises:
        WeightsError: One is absent or broken.
    """

    def __init__(self, files: Sequence[Path], what: str) -> None:
        self.files: dict[str, Any] = {}
        for file in files:
            with readable(file, what):
                opened: Any = safe_open(file, framework="pt")
                self.files |= dict.fromkeys(opened.keys(), opened)
        self.shapes: Mapping[str, tuple[int, ...]] = {
            name: tuple(opened.get_slice(name).get_shape()) for name, opened in self.files.items()
        }

    def part(self, name: str, first: int, last: int) -> Tensor:
        """Return some numbers of a weight, of which only the rows that hold them are read; see `Weights`."""
        row = prod(self.shapes[name][1:])
        begin = first // row
        rows: Tensor = self.files[name].get_slice(name)[begin : -(-last // row)]
        return rows.reshape(-1)[first - begin * row : last - begin * row]


class SharedWeights:
    """Weights of which each rank has written its own part, with the optimizer's moments of those that learn.

    They are read by any number of ranks: the parts of a weight, one after another, are the weight.

    Args:
        folder: Folder of a checkpoint.
        key: Name of the engine that has written them.

    Raises:
        WeightsError: A part is absent, or broken.
    """

    def __init__(self, folder: Path, key: str) -> None:
        first = folder / part_file(key, 0)
        with readable(first, WHAT):
            if not first.is_file():
                raise WeightsError(expected(str(folder), f"the parts of sharded weights, {first.name} first", "none"))
            with safe_open(first, framework="pt") as opened:
                told = json.loads(opened.metadata()["zero"])
            self.ranks, self.step = int(told["ranks"]), float(told["step"])
            self.shapes: Mapping[str, tuple[int, ...]] = {
                name: tuple(map(int, shape)) for name, shape in told["shapes"].items()
            }
        self.files: list[Any] = []
        for rank in range(self.ranks):
            file = folder / part_file(key, rank)
            with readable(file, WHAT):
                self.files.append(safe_open(file, framework="pt"))

    def part(self, name: str, first: int, last: int, moment: str = "") -> Tensor:
        """Return some numbers of a weight, or of one of its moments; see `Weights`."""
        count, found, entry = prod(self.shapes[name]), [], entry_of(name, moment)
        for rank, file in enumerate(self.files):
            begin, end = part_of(count, rank, self.ranks)
            if (low := max(first, begin)) < (high := min(last, end)):
                found.append(file.get_slice(entry)[low - begin : high - begin])
        return torch.cat(found) if found else torch.empty(0)

    def whole(self, name: str) -> Tensor:
        """Return a weight, float32."""
        return self.part(name, 0, prod(self.shapes[name])).view(self.shapes[name]).float()


def part_file(key: str, rank: int) -> str:
    """Return the name of the file of a rank's part."""
    return f"{key}-{rank:05d}.safetensors"


def entry_of(name: str, moment: str = "") -> str:
    """Return what a weight, or one of its moments, is called in a rank's file."""
    return f"{moment}:{name}" if moment else name


def part_of(count: int, rank: int, ranks: int) -> tuple[int, int]:
    """Return from where to before where a rank's part of so many numbers goes: all but the last are as long."""
    size = -(-count // ranks)
    return min(rank * size, count), min((rank + 1) * size, count)
