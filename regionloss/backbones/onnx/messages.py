"""ONNX files: the few messages of their format (protobuf) that a network is made of.

Source: onnx.proto of ONNX (IR version 3 to 13); numbers of fields are its.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regionloss.errors import WeightsError, expected

#: TensorProto's types: numpy's, and the field of values that are not raw bytes.
TYPES: Mapping[int, tuple[str, int]] = {
    1: ("<f4", 4),
    2: ("u1", 5),
    3: ("i1", 5),
    5: ("<i2", 5),
    6: ("<i4", 5),
    7: ("<i8", 7),
    9: ("?", 5),
    10: ("<f2", 5),
    11: ("<f8", 10),
}
Fields = dict[int, list[Any]]


@dataclass(frozen=True)
class Node:
    """An operator, the names of its inputs (empty where one is left out) and outputs, and its attributes."""

    operator: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class OnnxGraph:
    """A network: its operators in the order of computing, its weights, names of what goes in and comes out."""

    nodes: tuple[Node, ...]
    weights: Mapping[str, Tensor]
    inputs: Mapping[str, tuple[int | None, ...]]
    outputs: tuple[str, ...]
    opset: int
    metadata: Mapping[str, str]


def read_graph(file: Path) -> OnnxGraph:
    """Read a file.

    Raises:
        WeightsError: It is no ONNX network, or keeps its weights in other files.
    """
    try:
        model = fields(file.read_bytes())
        graph = fields(model[7][0])
        return OnnxGraph(
            tuple(node_of(fields(one)) for one in graph.get(1, ())),
            dict(named_tensor(file, fields(one)) for one in graph.get(5, ())),
            dict(value_of(fields(one)) for one in graph.get(11, ())),
            tuple(text(fields(one), 1) for one in graph.get(12, ())),
            max((number(one, 2) for one in map(fields, model.get(8, ())) if not text(one, 1)), default=1),
            {text(one, 1): text(one, 2) for one in map(fields, model.get(14, ()))},
        )
    except WeightsError:
        raise
    except (IndexError, KeyError, TypeError, ValueError, struct.error, RecursionError, OverflowError) as error:
        got = f"a file that breaks off or is of another kind ({type(error).__name__})"
        raise WeightsError(expected(str(file), "an ONNX network", got)) from error


def fields(data: bytes) -> Fields:
    """Return the values of a message by number: integers, or bytes."""
    found: Fields = {}
    place = 0
    while place < len(data):
        key, place = varint(data, place)
        number, wire = divmod(key, 8)
        value: Any
        if wire == 0:
            value, place = varint(data, place)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            value, place = data[place : place + size], place + size
        elif wire == 2:
            size, place = varint(data, place)
            value, place = data[place : place + size], place + size
        else:
            raise ValueError(f"wire type {wire}")
        if place > len(data):
            raise ValueError("it breaks off")
        found.setdefault(number, []).append(value)
    return found


def varint(data: bytes, place: int) -> tuple[int, int]:
    """Return protobuf's next integer, 7 bits a byte, lowest first, and where it ends."""
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place
        if shift > 63:
            raise ValueError("an integer of more than 64 bits")


def text(message: Fields, field: int) -> str:
    """Return a text; empty where it is absent."""
    return str(message[field][0].decode()) if field in message else ""


def number(message: Fields, field: int) -> int:
    """Return a signed integer; 0 where it is absent."""
    return signed(message[field][0]) if field in message else 0


def signed(value: int) -> int:
    """Return what 64 bits say as a signed integer."""
    return value - (1 << 64) if value >= 1 << 63 else value


def integers(values: Sequence[Any]) -> Iterator[int]:
    """Yield repeated integers, packed or not."""
    for value in values:
        if isinstance(value, int):
            yield signed(value)
            continue
        place = 0
        while place < len(value):
            one, place = varint(value, place)
            yield signed(one)


def floats(values: Sequence[bytes], kind: str = "<f4") -> list[float]:
    """Return repeated floats, packed or not."""
    return [float(one) for value in values for one in np.frombuffer(value, kind)]


def node_of(message: Fields) -> Node:
    """Return an operator."""
    inputs, outputs = (tuple(one.decode() for one in message.get(field, ())) for field in (1, 2))
    attributes = dict(attribute_of(fields(one)) for one in message.get(5, ()))
    domain = text(message, 7)
    kind = text(message, 4)
    return Node(
        kind if domain in ("", "ai.onnx") else f"{domain}.{kind}", text(message, 3), inputs, outputs, attributes
    )


#: AttributeProto's fields, and what each holds. Graphs inside operators are not read.
ATTRIBUTES: Mapping[int, Callable[[Sequence[Any]], Any]] = {
    2: lambda values: floats(values)[0],
    3: lambda values: signed(values[0]),
    4: lambda values: values[0].decode(),
    5: lambda values: tensor_of(fields(values[0])),
    7: floats,
    8: lambda values: list(integers(values)),
    9: lambda values: [value.decode() for value in values],
}


def attribute_of(message: Fields) -> tuple[str, Any]:
    """Return an attribute's name and value; None for one that is not read."""
    values = (read(message[field]) for field, read in ATTRIBUTES.items() if field in message)
    # An empty list is not written at all; its type is.
    return text(message, 1), next(values, [] if number(message, 20) in (6, 7, 8) else None)


def value_of(message: Fields) -> tuple[str, tuple[int | None, ...]]:
    """Return an input's name and shape; None for a side that is free."""
    shape = fields(fields(fields(message[2][0])[1][0]).get(2, [b""])[0])
    sides = (fields(one) for one in shape.get(1, ()))
    return text(message, 1), tuple(number(side, 1) if side.get(1) else None for side in sides)


def named_tensor(file: Path, message: Fields) -> tuple[str, Tensor]:
    """Return a weight's name and values."""
    if number(message, 14) == 1 or message.get(13):
        advice = "Save it as one file: onnx.save(onnx.load(FILE), NEW)."
        raise WeightsError(expected(str(file), "weights in the file itself", "them in files beside it", advice))
    return text(message, 8), tensor_of(message)


def tensor_of(message: Fields) -> Tensor:
    """Return a tensor, on the CPU.

    Raises:
        ValueError: It holds what torch cannot compute with.
    """
    kind = number(message, 2)
    if kind not in TYPES:
        raise ValueError(f"type {kind} of a tensor")
    dtype, field = TYPES[kind]
    shape = tuple(integers(message.get(1, ())))
    if raw := message.get(9):
        values = np.frombuffer(raw[0], dtype)
    elif field in (4, 10):
        values = np.array(floats(message.get(field, ()), dtype), dtype)
    else:
        values = np.array(list(integers(message.get(field, ()))))
        values = values.astype("<u2").view("<f2") if kind == 10 else values.astype(dtype)
    return torch.from_numpy(values.reshape(shape).copy())
