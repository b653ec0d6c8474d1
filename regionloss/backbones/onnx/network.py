"""A network of an ONNX file as a torch module: its operators, one after the other."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from regionloss.backbones.onnx.layouts import LAYOUTS
from regionloss.backbones.onnx.messages import Node, OnnxGraph, read_graph
from regionloss.backbones.onnx.operators import OPERATORS, Call
from regionloss.errors import InputError, WeightsError, did_you_mean, expected, reason_of

KNOWN = OPERATORS | LAYOUTS
#: Attributes of `Constant`, in the order of looking, and the type of each.
CONSTANTS: Mapping[str, torch.dtype | None] = {
    "value": None,
    "value_float": torch.float32,
    "value_floats": torch.float32,
    "value_int": torch.int64,
    "value_ints": torch.int64,
}


class OnnxNetwork(nn.Module):
    """Outputs of operators of an ONNX network, differentiable in its images.

    Only what leads to them is computed, and has to be known here. Weights of floats are the module's parameters; whole
    numbers stay on the CPU, where shapes are computed.

    Args:
        graph: Operators and weights, as `read_graph` reads them.
        taps: Names of the outputs of operators to return, or of operators; the network's own outputs for none.
        where: What sentences call it.

    Raises:
        InputError: It has no such output.
        WeightsError: It has several inputs, or operators that are not known.
    """

    def __init__(self, graph: OnnxGraph, taps: Sequence[str] = (), where: str = "ONNX network") -> None:
        super().__init__()
        self.where, self.opset = where, graph.opset
        inputs = [name for name in graph.inputs if name not in graph.weights]
        if len(inputs) != 1:
            raise WeightsError(expected(where, "a network of one input", ", ".join(inputs) or "none"))
        self.input, self.sides = inputs[0], graph.inputs[inputs[0]]
        self.taps = tuple(output_named(graph, tap, where) for tap in taps) or graph.outputs
        # A weight among the outputs, or the input itself, is no level.
        self.taps = tuple(tap for tap in self.taps if any(tap in node.outputs for node in graph.nodes))
        self.nodes = needed(graph.nodes, self.taps)
        strange = Counter(node.operator for node in self.nodes if node.operator not in (*KNOWN, "Constant"))
        if strange:
            got = ", ".join(f"{name} ({count})" for name, count in strange.most_common(5))
            raise WeightsError(expected(where, "operators that are read here", got, "Choose taps in front of them."))
        self.floats = nn.ParameterDict()
        self.numbers: dict[str, Tensor] = {}
        constants = {node.outputs[0]: constant(node) for node in self.nodes if node.operator == "Constant"}
        self.nodes = tuple(node for node in self.nodes if node.operator != "Constant")
        used = {name for node in self.nodes for name in node.inputs} | set(self.taps)
        for name, value in [*graph.weights.items(), *constants.items()]:
            if name not in used:
                continue
            if value.is_floating_point():
                # A key of a ParameterDict has no dots.
                self.floats[key_of(name)] = nn.Parameter(value.float(), requires_grad=False)
            else:
                self.numbers[name] = value
        self.last_use = last_uses(self.nodes, self.taps)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the outputs, in the order of `taps`.

        Raises:
            InputError: An operator refuses what it is given: images of another size than it was made for, mostly.
        """
        rows = self.sides[0] if self.sides else None
        if not len(images):  # shapes are computed from what is there
            return [level[:0] for level in self(images.new_zeros(1, *images.shape[1:]))]
        if rows is None or rows == len(images):
            found = dict(self.outputs_of(images, set(self.taps)))
            return [found[name] for name in self.taps]
        # Shapes in the file may say how many images there are: with others, some would be mixed in silence.
        parts = [(part, rows - len(part)) for part in images.split(rows)]
        filled = [torch.cat([part, part.new_zeros(more, *part.shape[1:])]) if more else part for part, more in parts]
        return [torch.cat(levels)[: len(images)] for levels in zip(*map(self, filled), strict=True)]

    def outputs_of(self, images: Tensor, kept: Collection[str] | None = None) -> Iterator[tuple[str, Tensor]]:
        """Yield the outputs of operators by name, of all or of those that are asked for, as they are computed."""
        known: dict[str, Tensor] = {self.input: images, **self.numbers, **self._floats()}
        for place, node in enumerate(self.nodes):
            known.update(zip(node.outputs, self._run(node, known, images), strict=False))
            yield from ((name, known[name]) for name in node.outputs if name and (kept is None or name in kept))
            for name in self.last_use.get(place, ()):
                del known[name]

    def _run(self, node: Node, known: Mapping[str, Tensor], images: Tensor) -> Sequence[Tensor]:
        call = Call({**node.attributes, "outputs": len(node.outputs)}, self.opset, images)
        given = beside(known[name] if name else None for name in node.inputs)
        try:
            found = KNOWN[node.operator](call, given)
        except (RuntimeError, ValueError, IndexError, KeyError, TypeError) as error:
            got = f"{shown(images)}, which its operator {node.operator} '{node.name}' refuses ({reason_of(error)})"
            raise InputError(expected(self.where, "images of the size that it takes", got)) from error
        return found if isinstance(found, tuple | list) else [found]

    def _floats(self) -> dict[str, Tensor]:
        return {name_of(key): value for key, value in self.floats.items()}


def read_onnx(file: str | os.PathLike[str], taps: Sequence[str] = ()) -> OnnxNetwork:
    """Read the network of an ONNX file; arguments and errors as for `OnnxNetwork`."""
    path = Path(file).expanduser()
    if not path.is_file():
        raise WeightsError(f"weight file {path} not found. Check the path.")
    return OnnxNetwork(read_graph(path), taps, path.name)


def output_named(graph: OnnxGraph, tap: str, where: str) -> str:
    """Return the output that a name means, its own or its operator's."""
    outputs = {name for node in graph.nodes for name in node.outputs}
    by_node = {node.name: node.outputs[0] for node in graph.nodes if node.name}
    if tap in outputs:
        return tap
    if tap in by_node:
        return by_node[tap]
    near = did_you_mean(tap, outputs).partition(" Known:")[0]
    hint = near if near.startswith("Did") else f"The last ones are {', '.join(n.outputs[0] for n in graph.nodes[-3:])}."
    raise InputError(expected(f"{where}: taps", "names of outputs or operators", f"'{tap}'", hint))


def needed(nodes: Sequence[Node], taps: Sequence[str]) -> tuple[Node, ...]:
    """Return the operators that lead to outputs, in their order."""
    wanted, kept = set(taps), []
    for node in reversed(nodes):
        if wanted.intersection(node.outputs):
            wanted.update(node.inputs)
            kept.append(node)
    return tuple(reversed(kept))


def last_uses(nodes: Sequence[Node], taps: Sequence[str]) -> dict[int, list[str]]:
    """Return by the place of an operator what no later one needs: it is let go, so that memory does not grow."""
    last = {name: place for place, node in enumerate(nodes) for name in (*node.outputs, *node.inputs) if name}
    made = {name for node in nodes for name in node.outputs if name}
    found: dict[int, list[str]] = {}
    for name, place in last.items():
        if name in made and name not in taps:
            found.setdefault(place, []).append(name)
    return found


def constant(node: Node) -> Tensor:
    """Return the value of a `Constant`."""
    for name, dtype in CONSTANTS.items():
        if (value := node.attributes.get(name)) is not None:
            return value if isinstance(value, Tensor) else torch.tensor(value, dtype=dtype)
    raise WeightsError(expected(f"ONNX operator Constant '{node.name}'", "a tensor or numbers", "neither"))


def beside(tensors: Iterator[Tensor | None]) -> list[Any]:
    """Return tensors with those that are no shapes on one device."""
    found = list(tensors)
    others = [one.device for one in found if one is not None and one.is_floating_point()]
    if not others or others[0].type == "cpu":
        return found
    return [one.to(others[0]) if one is not None and one.dtype == torch.bool else one for one in found]


def key_of(name: str) -> str:
    """Return a weight's name as a key of a module's parameters."""
    return "_" + name.replace("%", "%25").replace(".", "%2E")


def name_of(key: str) -> str:
    """Return the name that a key of a module's parameters stands for."""
    return key[1:].replace("%2E", ".").replace("%25", "%")


def shown(images: Tensor) -> str:
    """Return the size of images, for sentences."""
    return " x ".join(map(str, images.shape[2:]))
