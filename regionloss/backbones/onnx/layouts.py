"""ONNX's operators on shapes and places of tensors, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Inputs = Sequence[Tensor]


def whole(numbers: Tensor) -> list[int]:
    """Return a tensor of whole numbers as a list."""
    return [int(one) for one in numbers.flatten().tolist()]


def shape(call: Any, xs: Inputs) -> Tensor:
    """Return the sides of a tensor."""
    sides = list(xs[0].shape)[call.get("start", 0) : call.get("end")]
    return torch.tensor(sides, dtype=torch.int64)


def reshape(call: Any, xs: Inputs) -> Tensor:
    """Return another shape; 0 keeps a side unless `allowzero`."""
    sides = whole(xs[1])
    if not call.get("allowzero", 0):
        sides = [xs[0].shape[i] if side == 0 else side for i, side in enumerate(sides)]
    return xs[0].reshape(sides)


def flatten(call: Any, xs: Inputs) -> Tensor:
    """Return a matrix, of the sides before an axis and those from it on."""
    axis = call.get("axis", 1)
    axis += xs[0].dim() if axis < 0 else 0
    rows = int(torch.tensor(xs[0].shape[:axis]).prod())
    return xs[0].reshape(rows, -1)


def transpose(call: Any, xs: Inputs) -> Tensor:
    """Return a tensor with its sides in another order."""
    return xs[0].permute(call.get("perm", list(reversed(range(xs[0].dim())))))


def squeeze(call: Any, xs: Inputs) -> Tensor:
    """Return a tensor without sides of one."""
    axes = call.listed("axes", xs, 1)
    return xs[0].squeeze() if axes is None else xs[0].squeeze(tuple(axes))


def unsqueeze(call: Any, xs: Inputs) -> Tensor:
    """Return a tensor with more sides, of one."""
    axes = call.listed("axes", xs, 1)
    found, count = xs[0], xs[0].dim() + len(axes)
    for axis in sorted(axis % count for axis in axes):
        found = found.unsqueeze(axis)
    return found


def split(call: Any, xs: Inputs) -> Any:
    """Return parts of a tensor along an axis."""
    axis, sizes = call.get("axis", 0), call.listed("split", xs, 1)
    if sizes is None:
        count = call.get("num_outputs", call.get("outputs"))
        return xs[0].split(-(-xs[0].shape[axis] // count), axis)
    return xs[0].split(sizes, axis)


def cut(call: Any, xs: Any) -> Any:
    """Return a part of a tensor, from starts to ends along axes, in steps."""
    data = xs[0]
    starts, ends = call.listed("starts", xs, 1), call.listed("ends", xs, 2)
    axes = call.listed("axes", xs, 3) or list(range(len(starts)))
    steps = call.listed("steps", xs, 4) or [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        places = range(data.shape[axis])[slice(start, end, step)]
        if step == 1:
            data = data.narrow(axis, places.start if len(places) else 0, len(places))
        else:
            data = data.index_select(axis, torch.tensor(list(places), dtype=torch.int64, device=data.device))
    return data


def gather(call: Any, xs: Inputs) -> Tensor:
    """Return the entries of these numbers along an axis."""
    data, numbers = xs
    axis = call.get("axis", 0) % data.dim()
    numbers = torch.where(numbers < 0, numbers + data.shape[axis], numbers).to(data.device)
    found = data.index_select(axis, numbers.flatten())
    return found.reshape(*data.shape[:axis], *numbers.shape, *data.shape[axis + 1 :])


def expand(call: Any, xs: Inputs) -> Tensor:
    """Return a tensor repeated to a shape that it broadcasts to."""
    return xs[0].expand(torch.broadcast_shapes(xs[0].shape, tuple(whole(xs[1]))))


def pad(call: Any, xs: Any) -> Tensor:
    """Return a tensor with more around it."""
    pads = call.listed("pads", xs, 1)
    value = xs[2].item() if len(xs) > 2 and xs[2] is not None else call.get("value", 0.0)
    axes = call.listed("axes", xs, 3) or list(range(len(pads) // 2))
    both = [0] * 2 * xs[0].dim()
    for place, axis in enumerate(axes):
        back = xs[0].dim() - 1 - axis % xs[0].dim()
        both[2 * back : 2 * back + 2] = pads[place], pads[place + len(axes)]
    mode = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}[call.get("mode", "constant")]
    if mode == "constant":
        return F.pad(xs[0], both, value=value)
    return F.pad(xs[0], both[: 2 * (xs[0].dim() - 2)], mode=mode)


def filled(call: Any, xs: Inputs) -> Tensor:
    """Return a tensor of one value."""
    value = call.get("value")
    if value is None or value.is_floating_point():
        number = 0.0 if value is None else value.item()
        return torch.full(whole(xs[0]), number, dtype=call.images.dtype, device=call.images.device)
    return torch.full(whole(xs[0]), value.item(), dtype=value.dtype)


def triangle(call: Any, xs: Inputs) -> Tensor:
    """Return what is above or below a diagonal."""
    offset = int(xs[1]) if len(xs) > 1 else 0
    return (torch.triu if call.get("upper", 1) else torch.tril)(xs[0], offset)


def depth_to_space(call: Any, xs: Inputs) -> Tensor:
    """Return a map of more positions and fewer channels."""
    size = call.get("blocksize")
    if call.get("mode", "DCR") == "CRD":
        return F.pixel_shuffle(xs[0], size)
    r, c, h, w = xs[0].shape
    parts = xs[0].reshape(r, size, size, c // size**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return parts.reshape(r, c // size**2, h * size, w * size)


LAYOUTS: dict[str, Callable[[Any, Any], Any]] = {
    "Shape": shape,
    "Size": lambda call, xs: torch.tensor(xs[0].numel()),
    "Reshape": reshape,
    "Flatten": flatten,
    "Transpose": transpose,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Concat": lambda call, xs: torch.cat(list(xs), call.get("axis")),
    "Split": split,
    "Slice": cut,
    "Gather": gather,
    "GatherElements": lambda call, xs: xs[0].gather(call.get("axis", 0), xs[1].to(xs[0].device)),
    "Expand": expand,
    "Tile": lambda call, xs: xs[0].tile(whole(xs[1])),
    "Pad": pad,
    "ConstantOfShape": filled,
    "Range": lambda call, xs: torch.arange(*(one.item() for one in xs), dtype=xs[0].dtype),
    "Trilu": triangle,
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": lambda call, xs: F.pixel_unshuffle(xs[0], call.get("blocksize")),
}
