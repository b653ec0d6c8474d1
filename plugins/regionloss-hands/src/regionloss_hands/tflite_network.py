"""Graphs of TensorFlow Lite as a torch module, differentiable in the images."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regionloss.errors import WeightsError, expected
from regionloss.weights import locate
from regionloss_hands.tflite_file import IDENTIFIER, Graph, Step, read_graph


@dataclass(frozen=True)
class Model:
    """What a file should hold: what to call it, the shapes of its first outputs, where in a larger file it lies."""

    name: str
    outputs: tuple[tuple[int, ...], ...]
    part: tuple[int, int] | None = None


#: The bytes, first and beyond last, are those that `hands_solution_packed_assets_loader.js` names.
PALM_DETECTOR = Model("MediaPipe's palm detector", ((1, 2016, 18), (1, 2016, 1)), (11, 2341291))
HAND_KEYPOINTS = Model("MediaPipe's keypoints of a hand", ((1, 63), (1, 1)))


class TFLiteNetwork(nn.Module):
    """Computes tensors of a graph; feature maps are (N, C, h, w) here, and (N, h, w, C) in the file.

    Args:
        graph: Layers of the network, and their arrays.
        wanted: Numbers of the tensors to return; layers that none of them needs are left out.
    """

    def __init__(self, graph: Graph, wanted: Sequence[int]) -> None:
        super().__init__()
        self.input, self.wanted, self.steps = graph.inputs[0], tuple(wanted), needed(graph.steps, wanted)
        self.shapes = {step.output: graph.shapes[step.output] for step in self.steps}
        self.plain: dict[int, list[int]] = {}
        arrays = {number for step in self.steps for number in step.inputs if number in graph.arrays}
        layers = {step.inputs[1]: step.layer for step in self.steps if len(step.inputs) > 1}
        for number in sorted(arrays):
            array = graph.arrays[number]
            if array.dtype == np.float32:
                self.register_parameter(f"array_{number}", nn.Parameter(laid_out(array, layers.get(number, ""))))
            else:
                self.plain[number] = array.ravel().tolist()

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the wanted tensors of images (N, 3, h, w)."""
        values = {self.input: images}
        for step in self.steps:
            values[step.output] = self.run(step, values)
        return [values[number] for number in self.wanted]

    def run(self, step: Step, values: dict[int, Tensor]) -> Tensor:
        """Return what one layer makes of the tensors so far."""
        read = [values[n] if n in values else getattr(self, f"array_{n}", None) for n in step.inputs]
        first, *rest = (x for x in read if x is not None)
        options = step.options
        match step.layer:
            case "convolution" | "depthwise":
                filters, bias = rest
                groups = first.shape[1] if step.layer == "depthwise" else 1
                padded = same(first, filters.shape[2], options["stride"], 0.0) if options["padding"] == 0 else first
                out = F.conv2d(padded, filters, bias, options["stride"], groups=groups)
            case "max_pool":
                kernel, stride = options["kernel"], options["stride"]
                padded = same(first, kernel, stride, -math.inf) if options["padding"] == 0 else first
                out = F.max_pool2d(padded, kernel, stride)
            case "add":
                out = first + rest[0]
            case "prelu":
                out = torch.where(first > 0, first, first * rest[0])
            case "pad":
                (_, _, *rows), channels = self.plain[step.inputs[1]][:6], self.plain[step.inputs[1]][6:]
                out = F.pad(first, [*rows[2:], *rows[:2], *channels])
            case "resize":
                size = self.plain[step.inputs[1]]
                out = F.interpolate(first, size, mode="bilinear", align_corners=False)
            case "concatenate":
                out = torch.cat([first, *rest], options["axis"])
            case "reshape":
                out = first.permute(0, 2, 3, 1).reshape(len(first), *self.shapes[step.output][1:])
            case "mean":
                out = first.mean((2, 3))
            case "dense":
                out = F.linear(first, *rest)
            case _:
                out = first.sigmoid()
        return activated(out, options.get("activation", 0))


def needed(steps: Sequence[Step], wanted: Sequence[int]) -> tuple[Step, ...]:
    """Return the layers that the wanted tensors come from."""
    read, kept = set(wanted), []
    for step in reversed(steps):
        if step.output in read:
            read.update(step.inputs)
            kept.append(step)
    return tuple(reversed(kept))


def laid_out(array: np.ndarray, layer: str) -> Tensor:
    """Return an array in torch's order: filters (out, in, h, w), slopes (C, 1, 1)."""
    tensor = torch.from_numpy(array.copy())
    if layer == "convolution":
        tensor = tensor.permute(0, 3, 1, 2)
    elif layer == "depthwise":
        tensor = tensor.permute(3, 0, 1, 2)
    elif layer == "prelu":
        tensor = tensor.reshape(-1, 1, 1)
    return tensor.contiguous()


def same(images: Tensor, kernel: int, stride: int, value: float) -> Tensor:
    """Return images with TensorFlow's 'SAME' padding; the odd pixel lies behind."""
    missing = [max((math.ceil(n / stride) - 1) * stride + kernel - n, 0) for n in (images.shape[3], images.shape[2])]
    margins = [part for total in missing for part in (total // 2, total - total // 2)]
    return F.pad(images, margins, value=value) if any(margins) else images


def activated(images: Tensor, activation: int) -> Tensor:
    """Return images after ReLU (1), ReLU6 (3) or nothing (0)."""
    return images if activation == 0 else images.clamp(min=0, max=6 if activation == 3 else None)


def feature_maps(graph: Graph) -> tuple[int, ...]:
    """Return the last tensor of each resolution that is the output of a block: one without activation."""
    last = {}
    for step in graph.steps:
        shape = graph.shapes[step.output]
        if len(shape) == 4 and step.layer in ("convolution", "add") and step.options["activation"] == 0:
            last[shape[1]] = step.output
    return tuple(last[side] for side in sorted(last, reverse=True))


def load_graph(weights: str, model: Model) -> Graph:
    """Return the graph of these weights: registered ones by name, others by path (text with a dot; names have none).

    Raises:
        WeightsError: The file is not here, or holds something else.
    """
    file = Path(weights).expanduser() if "." in weights else locate(weights)
    if not file.is_file():
        raise WeightsError(f"weight file {file} not found. Check the path.")
    data = file.read_bytes()
    if model.part and data[4:8] != IDENTIFIER:
        data = data[slice(*model.part)]
    try:
        graph = read_graph(data)
        shapes = tuple(graph.shapes[number] for number in graph.outputs[: len(model.outputs)])
        if shapes != model.outputs:
            raise ValueError(f"outputs {shapes}")
    except (ValueError, LookupError, struct.error, StopIteration) as error:
        raise WeightsError(expected(f"weights '{weights}'", model.name, f"another file ({error})")) from error
    return graph
