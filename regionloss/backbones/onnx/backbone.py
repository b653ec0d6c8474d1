"""Features of a network that lies in an ONNX file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from regionloss.backbones.base import FeatureBackbone
from regionloss.backbones.input_spec import InputSpec
from regionloss.backbones.onnx.network import read_onnx
from regionloss.checks import size_of
from regionloss.errors import InputError, WeightsError, expected
from regionloss.weights import locate

CHANNELS = {1: "L", 3: "RGB"}
#: Side of the images that levels are looked for with, where a network takes any.
SIDE = 128


class OnnxBackbone(FeatureBackbone):
    """Outputs of operators of an ONNX network, InsightFace's `w600k_r50.onnx`, say; nothing but torch runs it.

    Args:
        weights: Path to the file, or name of registered weights.
        taps: Names of the operators, or of their outputs, whose outputs are compared, as in the file (Netron shows
            them); none for the last map of each of the four largest sizes, and of a network without maps its outputs.
        size: Height and width of the crops, pixels; None for those that the file states.
        value_range: Lowest and highest pixel value, before `mean` and `std`.
        channels: `"RGB"`, `"BGR"` or `"L"`; None for grey or RGB, as the file states their number.
        mean: Subtracted per channel, in the network's order of channels.
        std: Divisor of each channel.
        prefix_tokens: Where taps are tokens (R, N, C): how many stand in front of those of patches.
        patch_size: Height and width of a token's patch, pixels (PARSeq's are 4 x 8); None for squares.

    Raises:
        WeightsError: The file is not here, is no such network, or has operators that are not read.
        InputError: The network has no such output.
    """

    def __init__(
        self,
        weights: str,
        taps: Sequence[str] = (),
        size: tuple[int, int] | None = None,
        value_range: tuple[float, float] = (-1.0, 1.0),
        channels: str | None = None,
        mean: Sequence[float] = (0.0,),
        std: Sequence[float] = (1.0,),
        prefix_tokens: int | None = None,
        patch_size: tuple[int, int] | None = None,
    ) -> None:
        file = Path(weights).expanduser()
        if not file.is_file() and file.suffix != ".onnx":
            file = locate(weights)
        network = read_onnx(file, taps)
        stated = network.sides
        if len(stated) != 4 or stated[1] not in (None, *CHANNELS):
            got = f"({', '.join('any' if side is None else str(side) for side in stated)})"
            raise WeightsError(expected(file.name, "a network of images (R, 3, h, w) or (R, 1, h, w)", got))
        height, width = stated[2:]
        fixed = None if height is None or width is None else (height, width)
        taken = fixed if size is None else size_of(size, "onnx.size")
        order = channels or CHANNELS[stated[1] or 3]
        if not taps:
            probe = torch.zeros(1, stated[1] or 3, *(taken or (height or SIDE, width or SIDE)))
            network = read_onnx(file, largest_maps(file, probe))
        spec = InputSpec(taken, value_range, order, tuple(mean), tuple(std))
        super().__init__(network, spec, prefix_tokens=prefix_tokens, patch_size=patch_size)

    def levels(self, network: nn.Module, images: Tensor) -> list[Tensor]:
        """Return the outputs, in the order of `taps`."""
        found: list[Tensor] = network(images)
        return found


def largest_maps(file: Path, images: Tensor, count: int = 4) -> list[str]:
    """Return the names of the last map of each of the largest sizes; none for a network without maps.

    Raises:
        InputError: It has attention, whose maps are of pairs of tokens: which of its outputs are levels, no size tells.
    """
    network = read_onnx(file)
    attention = {node.outputs[0] for node in network.nodes if node.operator == "Softmax"}
    last: dict[tuple[int, int], str] = {}
    for name, value in network.outputs_of(images):
        if name in attention and value.dim() > 2:
            sums = [node.outputs[0] for node in network.nodes if node.operator == "Add"]
            advice = f"Sums of residual blocks are good ones; its last sums are {', '.join(sums[-3:])}."
            raise InputError(expected(f"{file.name}: taps", "names, for a network with attention", "none", advice))
        if value.dim() == 4 and value.is_floating_point() and value[0, 0].numel() > 1:
            last[value.shape[2], value.shape[3]] = name
    return [last[size] for size in sorted(last, reverse=True)[:count]]
