"""TensorFlow Lite files: a graph of layers and its arrays, read without TensorFlow."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

IDENTIFIER = b"TFL3"
ARRAY_TYPES: dict[int, np.dtype[Any]] = {0: np.dtype("<f4"), 1: np.dtype("<f2"), 2: np.dtype("<i4"), 4: np.dtype("<i8")}
#: Codes of the layers that are read, and the members of their options: name, number in the schema, kind, default.
LAYERS: dict[int, tuple[str, tuple[tuple[str, int, str, int], ...]]] = {
    0: ("add", (("activation", 0, "b", 0),)),
    2: ("concatenate", (("axis", 0, "i", 0),)),
    3: ("convolution", (("padding", 0, "b", 0), ("stride", 2, "i", 1), ("activation", 3, "b", 0))),
    4: ("depthwise", (("padding", 0, "b", 0), ("stride", 2, "i", 1), ("activation", 4, "b", 0))),
    6: ("dequantize", ()),
    9: ("dense", (("activation", 0, "b", 0),)),
    14: ("logistic", ()),
    17: ("max_pool", (("padding", 0, "b", 0), ("stride", 2, "i", 1), ("kernel", 4, "i", 1))),
    22: ("reshape", ()),
    23: ("resize", ()),
    34: ("pad", ()),
    40: ("mean", ()),
    54: ("prelu", ()),
}


@dataclass(frozen=True)
class Step:
    """One layer: its name, the numbers of the tensors that it reads and of the one that it writes, its options."""

    layer: str
    inputs: tuple[int, ...]
    output: int
    options: dict[str, int]


@dataclass(frozen=True)
class Graph:
    """Layers in order, the arrays that they read, and the shape of every tensor, by number."""

    steps: tuple[Step, ...]
    arrays: dict[int, np.ndarray[Any, Any]]
    shapes: dict[int, tuple[int, ...]]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Table:
    """A table of a FlatBuffers file, and what is in its members by their numbers in the schema."""

    data: bytes
    position: int

    def member(self, number: int) -> int | None:
        """Return where a member lies; None where it is left out."""
        table = self.position - self._read("i", self.position)
        place = 4 + 2 * number
        offset = self._read("H", table + place) if place < self._read("H", table) else 0
        return self.position + offset if offset else None

    def number(self, number: int, kind: str, default: int = 0) -> int:
        """Return an integer of a `struct` kind."""
        place = self.member(number)
        return default if place is None else self._read(kind, place)

    def table(self, number: int) -> Table | None:
        """Return a table that a member points to."""
        place = self.member(number)
        return None if place is None else Table(self.data, place + self._read("I", place))

    def tables(self, number: int) -> Iterator[Table]:
        """Yield the tables of a list."""
        start, count = self._list(number)
        for place in range(start, start + 4 * count, 4):
            yield Table(self.data, place + self._read("I", place))

    def array(self, number: int, dtype: str) -> np.ndarray[Any, Any]:
        """Return the numbers of a list."""
        start, count = self._list(number)
        return np.frombuffer(self.data, dtype, count, start)

    def _list(self, number: int) -> tuple[int, int]:
        place = self.member(number)
        if place is None:
            return 0, 0
        start = place + self._read("I", place)
        return start + 4, self._read("I", start)

    def _read(self, kind: str, place: int) -> int:
        value: int = struct.unpack_from("<" + kind, self.data, place)[0]
        return value


def read_graph(data: bytes) -> Graph:
    """Return the first graph of a model.

    Raises:
        ValueError: Not a model, or one with layers that are not read here.

    Source: TensorFlow Lite's `schema.fbs`, version 3.
    """
    if data[4:8] != IDENTIFIER:
        raise ValueError("not a TensorFlow Lite model")
    model = Table(data, struct.unpack_from("<I", data)[0])
    codes = [max(code.number(0, "b"), code.number(3, "i")) for code in model.tables(1)]
    buffers = list(model.tables(4))
    graph = next(model.tables(2))
    shapes, arrays = {}, {}
    for number, tensor in enumerate(graph.tables(0)):
        shapes[number] = tuple(tensor.array(0, "<i4").tolist())
        stored = buffers[tensor.number(2, "I")].array(0, "u1")
        if len(stored):
            arrays[number] = stored.view(ARRAY_TYPES[tensor.number(1, "b")]).reshape(shapes[number])
    steps = [read_step(operator, codes) for operator in graph.tables(3)]
    for step in steps:
        if step.layer == "dequantize":
            arrays[step.output] = arrays[step.inputs[0]].astype(np.float32)
    inputs, outputs = (tuple(graph.array(number, "<i4").tolist()) for number in (1, 2))
    return Graph(tuple(s for s in steps if s.layer != "dequantize"), arrays, shapes, inputs, outputs)


def read_step(operator: Table, codes: list[int]) -> Step:
    """Return one layer."""
    code = codes[operator.number(0, "I")]
    if code not in LAYERS:
        raise ValueError(f"a layer of code {code}")
    layer, members = LAYERS[code]
    options = operator.table(4)
    values = {n: default if options is None else options.number(i, kind, default) for n, i, kind, default in members}
    inputs, outputs = (operator.array(number, "<i4").tolist() for number in (1, 2))
    return Step(layer, tuple(inputs), outputs[0], values)
