"""What a graph and the values in it say of a gradient: how much of it a reconstruction lets through, and to what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from regionloss.tensors import rescaled

#: Operations on single values and on their places: through them, where a gradient ends is seen pixel by pixel.
LIGHT = frozenset({
    *("Add", "Sub", "Rsub", "Mul", "Div", "Neg", "Where", "Minimum", "Maximum", "Fmod", "Remainder"),
    *("ToCopy", "Clone", "Alias", "View", "UnsafeView", "ReshapeAlias", "Permute", "Transpose", "T", "Squeeze"),
    *("Unsqueeze", "Expand", "Repeat", "Slice", "Select", "Index", "Cat", "Stack", "Unbind", "Split", "SplitWithSizes"),
    *("ConstantPadNd", "Clamp", "ClampMin", "ClampMax", "Hardtanh", "Relu", "Threshold"),
    *("Round", "Floor", "Ceil", "Trunc", "Sign"),
})  # fmt: skip
FLAT = ("Round", "Floor", "Ceil", "Trunc", "Sign")
RANGES = {"[0, 1]": (0.0, 1.0), "[-1, 1]": (-1.0, 1.0), "[0, 255]": (0.0, 255.0)}
SAMPLED = 4096  # elements of a tensor that are looked at for whether it changes


def is_image(value: object) -> bool:
    """Return whether something is images, (B, 3, H, W), (B, H, W, 3) or with time between."""
    if not isinstance(value, Tensor) or not value.is_floating_point() or value.ndim not in (4, 5):
        return False
    return 3 in (value.shape[1], value.shape[-1])


def operation(node: Any) -> str:
    """Return `Clamp` for a node of that operation."""
    return str(node.name()).rstrip("0123456789").removesuffix("Backward")


def leaves(tensor: Tensor) -> list[Tensor] | None:
    """Return the tensors that a gradient ends in; None where some are hidden, as by reentrant checkpointing."""
    if tensor.grad_fn is None:
        return [tensor]
    found, seen, left = [], {tensor.grad_fn}, [tensor.grad_fn]
    while left:
        node: Any = left.pop()
        if "Checkpoint" in node.name():
            return None
        if (leaf := getattr(node, "variable", None)) is not None:
            found.append(leaf)
        more = {following for following, _ in node.next_functions if following is not None} - seen
        seen |= more
        left += more
    return found


def sample_of(tensor: Tensor) -> Tensor:
    """Return a copy of some elements of a tensor, by which a change is seen."""
    flat = tensor.detach().reshape(-1)
    return flat[:: max(1, len(flat) // SAMPLED)].clone()


def light_part(tensor: Tensor) -> tuple[list[str], list[Any]]:
    """Return the light operations that end in a tensor, and the edges of the graph that they begin from."""
    edge = torch.autograd.graph.GradientEdge
    names, edges, seen, left = [], [], set(), [(tensor.grad_fn, tensor.output_nr)]
    while left:
        node: Any
        node, number = left.pop()
        if node is None or (node, number) in seen:
            continue
        seen.add((node, number))
        if (name := operation(node)) in LIGHT:
            names.append(name)
            left += node.next_functions
        else:
            edges.append(edge(node, number))
    return names, edges


def stopped(reconstruction: Tensor) -> tuple[str, float]:
    """Return how the last operations before a reconstruction stop its gradient, and for which share of its pixels.

    `"rounded"`, `"clamped"`, or nothing where what stops it is a choice of pixels, as a mask or a crop is. Their part
    of the graph alone is gone through, backwards, with a gradient of ones.
    """
    names, edges = light_part(reconstruction) if reconstruction.grad_fn is not None else ([], [])
    if not names or not edges:
        return "", 0.0
    ones = torch.ones_like(reconstruction)
    made = torch.autograd.grad(reconstruction, edges, ones, retain_graph=True, allow_unused=True)
    found = [gradient for gradient in made if gradient is not None]
    alive = sum(int(gradient.count_nonzero()) for gradient in found)
    if not alive:
        return "rounded" if set(names) & set(FLAT) else "cut off", 1.0
    dead = min(sum(gradient.numel() for gradient in found), reconstruction.numel()) - alive
    values = reconstruction.detach()
    places = [n for n in range(values.ndim) if values.shape[n] != 3 or n == 0]
    low, high = values.amin(places, keepdim=True), values.amax(places, keepdim=True)
    # Clamped pixels all have the least or the greatest value; what a mask stops has any.
    extreme = int(((values == low) | (values == high)).sum())
    return ("clamped", dead / values.numel()) if 0 < dead <= 1.1 * extreme else ("", 0.0)


def other_range(reconstruction: Tensor, target: Tensor, value_range: Sequence[float]) -> str:
    """Return the range that a reconstruction seems to have, where it is not that of its target; mostly nothing."""
    low, high = value_range
    made, wanted = reconstruction.detach().float(), target.detach().float()
    plain, spread = (made - wanted).abs().mean(), (wanted - wanted.mean()).abs().mean()
    for name, given in RANGES.items():
        if given == (low, high):
            continue
        error = (rescaled(made, given, value_range) - wanted).abs().mean()
        if bool((error < plain / 2) & (error < spread / 2)):
            return name
    least, most = (float(value) for value in torch.aminmax(made))
    signed = (low, high) == (-1, 1) and float(wanted.min()) < -0.5
    return "[0, 1]" if signed and 0 <= least < most <= 1 else ""


def tensors_in(*values: Any) -> Iterator[Tensor]:
    """Yield the tensors in arguments, or in what a module returned."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, dict):
            yield from tensors_in(*value.values())
        elif isinstance(value, tuple | list):
            yield from tensors_in(*value)
