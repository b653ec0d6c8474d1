"""FaceRes: a MobileNet-v1 whose pooled features tell faces apart, read from its TensorFlow.js files."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regionloss.backbones import InputSpec
from regionloss.errors import WeightsError, expected

#: Width and stride of each depthwise separable layer.
LAYERS = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1)),
)
STEM = 32
FACERES_INPUT = InputSpec((224, 224), (0.0, 255.0), "BGR", (103.939, 116.779, 123.68))


class Layer(nn.Module):
    """A convolution with TensorFlow's 'SAME' padding, cut off at 0 and 6."""

    def __init__(self, channels: int, width: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, kernel, stride, groups=groups)

    def forward(self, images: Tensor) -> Tensor:
        """Return features (N, width, h, w)."""
        kernel, stride = self.conv.kernel_size[0], self.conv.stride[0]
        # 'SAME' puts the odd pixel of padding behind.
        missing = [
            max((math.ceil(n / stride) - 1) * stride + kernel - n, 0) for n in (images.shape[3], images.shape[2])
        ]
        margins = [part for total in missing for part in (total // 2, total - total // 2)]
        features: Tensor = self.conv(F.pad(images, margins))
        return features.clamp(0, 6)


class FaceRes(nn.Module):
    """Stem, 13 depthwise separable layers, mean over positions. Normalisation is folded into the filters."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Layer(3, STEM, 3, 2)
        self.depthwise, self.pointwise = nn.ModuleList(), nn.ModuleList()
        channels = STEM
        for width, stride in LAYERS:
            self.depthwise.append(Layer(channels, channels, 3, stride, groups=channels))
            self.pointwise.append(Layer(channels, width, 1))
            channels = width

    def forward(self, images: Tensor) -> Tensor:
        """Return descriptions (N, 1024) of images as `FACERES_INPUT` says."""
        features: Tensor = self.stem(images)
        for depthwise, pointwise in zip(self.depthwise, self.pointwise, strict=True):
            features = pointwise(depthwise(features))
        return features.mean((2, 3))

    def load(self, values: Mapping[str, Tensor]) -> None:
        """Take the arrays of the graph, by their names there."""
        take(self.stem, values["conv1/convolution/merged_input"], values["conv1_bn/batchnorm_1/sub"])
        for number, (depthwise, pointwise) in enumerate(zip(self.depthwise, self.pointwise, strict=True), 1):
            scale = values[f"conv_dw_{number}_bn/batchnorm_1/mul"]
            filters = values[f"conv_dw_{number}/depthwise_kernel"] * scale[:, None]
            take(depthwise, filters.transpose(2, 3), values[f"conv_dw_{number}_bn/batchnorm_1/sub"])
            filters = values[f"conv_pw_{number}/convolution/merged_input"]
            take(pointwise, filters, values[f"conv_pw_{number}_bn/batchnorm_1/sub"])


def take(layer: nn.Module, filters: Tensor, bias: Tensor) -> None:
    """Give a layer filters (h, w, in, out) and biases (out,)."""
    with torch.no_grad():
        layer.get_parameter("conv.weight").copy_(filters.permute(3, 2, 0, 1))
        layer.get_parameter("conv.bias").copy_(bias)


def load_faceres(layout: Path, values: Path) -> FaceRes:
    """Return the network of a `faceres.json` and its `faceres.bin`.

    Raises:
        WeightsError: They are not those of FaceRes.
    """
    network = FaceRes()
    try:
        network.load(read_values(layout, values))
    except (KeyError, RuntimeError, ValueError) as error:
        raise WeightsError(expected(str(layout), "the graph of FaceRes", f"another one ({error})")) from error
    return network


def read_values(layout: Path, values: Path) -> dict[str, Tensor]:
    """Return the arrays of a TensorFlow.js graph model with one file of weights, by name, floats as float32."""
    manifest = json.loads(layout.read_text(encoding="utf-8"))["weightsManifest"]
    data, position, arrays = values.read_bytes(), 0, {}
    for entry in (entry for group in manifest for entry in group["weights"]):
        stored = np.dtype(entry.get("quantization", entry)["dtype"])
        count = math.prod(entry["shape"])
        array = np.frombuffer(data, stored, count, position).reshape(entry["shape"])
        arrays[entry["name"]] = torch.from_numpy(array.astype(entry["dtype"]))
        position += count * stored.itemsize
    return arrays
