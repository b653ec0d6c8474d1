"""Operators of ONNX as torch computes them, by name.

Source: ONNX's specification of operators, versions of 9 and later.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from regionloss.backbones.onnx import convolutions
from regionloss.errors import InputError, expected

Inputs = Sequence[Tensor]
Operator = Callable[["Call", Any], Any]


@dataclass(frozen=True)
class Call:
    """What an operator is called with beside its inputs: attributes, version, images that tell device and precision."""

    attributes: Mapping[str, Any]
    opset: int
    images: Tensor

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute, or what stands for one that is absent."""
        found = self.attributes.get(name)
        return default if found is None else found

    def listed(self, name: str, xs: Inputs, place: int) -> list[int] | None:
        """Return whole numbers that are an attribute in old versions and an input in new ones; None for neither."""
        if name in self.attributes:
            return list(self.attributes[name])
        return [int(one) for one in xs[place].flatten().tolist()] if len(xs) > place and xs[place] is not None else None


def elementwise(function: Callable[..., Tensor]) -> Operator:
    """Return an operator without attributes."""
    return lambda call, xs: function(*xs)


def folded(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    """Return an operator of any number of inputs."""
    return lambda call, xs: reduce(function, xs)


def divided(a: Tensor, b: Tensor) -> Tensor:
    """Return a / b, of whole numbers cut to a whole number."""
    return a / b if a.is_floating_point() or b.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


def modulus(call: Call, xs: Inputs) -> Tensor:
    """Return the remainder, with the sign of the dividend if `fmod` says so."""
    return torch.fmod(*xs) if call.get("fmod", 0) else torch.remainder(*xs)


def clip(call: Call, xs: Any) -> Tensor:
    """Return values between bounds, either of which may be absent."""
    low, high = ([*xs[1:], None, None])[:2]
    return torch.clamp(xs[0], call.get("min", low), call.get("max", high))


def cast(call: Call, xs: Inputs) -> Tensor:
    """Return another type of numbers; of floats there is the network's own precision alone."""
    if len(xs) == 2:
        kind = xs[1].dtype
    else:
        kind = {6: torch.int32, 7: torch.int64, 9: torch.bool}.get(call.get("to"), call.images.dtype)
    if kind.is_floating_point:
        return xs[0] if xs[0].is_floating_point() else xs[0].to(call.images.dtype)
    return xs[0].to(kind)


def softmax(function: Callable[[Tensor, int], Tensor]) -> Operator:
    """Return softmax or its logarithm; before version 13 it is over all dimensions from its axis on."""

    def apply(call: Call, xs: Inputs) -> Tensor:
        if call.opset >= 13:
            return function(xs[0], int(call.get("axis", -1)))
        axis = call.get("axis", 1) % xs[0].dim()
        return function(xs[0].flatten(axis), -1).view_as(xs[0])

    return apply


def reduction(function: Callable[[Tensor, list[int], bool], Tensor]) -> Operator:
    """Return an operator that makes one number of several along axes."""

    def apply(call: Call, xs: Inputs) -> Tensor:
        axes = call.listed("axes", xs, 1)
        if not axes and call.get("noop_with_empty_axes", 0):
            return xs[0]
        return function(xs[0], axes or list(range(xs[0].dim())), bool(call.get("keepdims", 1)))

    return apply


def best(function: Callable[..., Tensor]) -> Operator:
    """Return the place of the largest or smallest along an axis."""
    return lambda call, xs: function(xs[0], call.get("axis", 0), bool(call.get("keepdims", 1)))


def gemm(call: Call, xs: Inputs) -> Tensor:
    """Return alpha A B + beta C."""
    a, b = (x.T if call.get(name, 0) else x for name, x in zip(("transA", "transB"), xs, strict=False))
    product: Tensor = call.get("alpha", 1.0) * (a @ b)
    return product if len(xs) < 3 else product + call.get("beta", 1.0) * xs[2]


def layer_norm(call: Call, xs: Inputs) -> Tensor:
    """Return values of mean 0 and deviation 1 over the last dimensions, scaled and shifted."""
    axis = call.get("axis", -1) % xs[0].dim()
    return F.layer_norm(xs[0], xs[0].shape[axis:], xs[1], xs[2] if len(xs) > 2 else None, call.get("epsilon", 1e-5))


def batch_norm(call: Call, xs: Inputs) -> Tensor:
    """Return values scaled and shifted by the statistics of training."""
    scale, shift, mean, variance = xs[1:]
    return F.batch_norm(xs[0], mean, variance, scale, shift, False, 0.0, call.get("epsilon", 1e-5))


def lp_norm(call: Call, xs: Inputs) -> Tensor:
    """Return vectors of length one."""
    return F.normalize(xs[0], call.get("p", 2), call.get("axis", -1))


def resize(call: Call, xs: Any) -> Tensor:
    """Return a map of another size.

    Raises:
        InputError: In a way that torch does not know.
    """
    image, sizes = xs[0], xs[3] if len(xs) > 3 else None
    scales = xs[2] if len(xs) > 2 else xs[-1]
    known = {"nearest": "nearest", "linear": "bilinear", "cubic": "bicubic"}
    mode, places = known.get(call.get("mode", "nearest")), call.get("coordinate_transformation_mode", "half_pixel")
    if sizes is not None and sizes.numel():
        size = [int(one) for one in sizes.tolist()[2:]]
    else:
        size = [math.floor(side * scale) for side, scale in zip(image.shape[2:], scales.tolist()[2:], strict=True)]
    if mode == "nearest" and all(new % old == 0 for new, old in zip(size, image.shape[2:], strict=True)):
        return F.interpolate(image, size)
    if (
        mode in (None, "nearest")
        or image.dim() != 4
        or places not in ("half_pixel", "pytorch_half_pixel", "align_corners")
    ):
        raise InputError(expected("ONNX operator Resize", "a way that torch knows", f"{mode} {places}"))
    return F.interpolate(image, size, mode=mode, align_corners=places == "align_corners")


OPERATORS: dict[str, Operator] = {
    "Add": elementwise(torch.add),
    "Sub": elementwise(torch.sub),
    "Mul": elementwise(torch.mul),
    "Div": elementwise(divided),
    "Pow": elementwise(torch.pow),
    "Mod": modulus,
    "Sum": folded(torch.add),
    "Max": folded(torch.maximum),
    "Min": folded(torch.minimum),
    "Mean": lambda call, xs: reduce(torch.add, xs) / len(xs),
    "Equal": elementwise(torch.eq),
    "Less": elementwise(torch.lt),
    "Greater": elementwise(torch.gt),
    "LessOrEqual": elementwise(torch.le),
    "GreaterOrEqual": elementwise(torch.ge),
    "And": elementwise(torch.logical_and),
    "Or": elementwise(torch.logical_or),
    "Not": elementwise(torch.logical_not),
    "Where": elementwise(torch.where),
    "IsNaN": elementwise(torch.isnan),
    "Abs": elementwise(torch.abs),
    "Neg": elementwise(torch.neg),
    "Sign": elementwise(torch.sign),
    "Exp": elementwise(torch.exp),
    "Log": elementwise(torch.log),
    "Sqrt": elementwise(torch.sqrt),
    "Reciprocal": elementwise(torch.reciprocal),
    "Erf": elementwise(torch.erf),
    "Sin": elementwise(torch.sin),
    "Cos": elementwise(torch.cos),
    "Tanh": elementwise(torch.tanh),
    "Floor": elementwise(torch.floor),
    "Ceil": elementwise(torch.ceil),
    "Round": elementwise(torch.round),
    "Relu": elementwise(F.relu),
    "Sigmoid": elementwise(torch.sigmoid),
    "Softplus": elementwise(F.softplus),
    "Softsign": elementwise(F.softsign),
    "Mish": elementwise(F.mish),
    "HardSwish": elementwise(F.hardswish),
    "LeakyRelu": lambda call, xs: F.leaky_relu(xs[0], call.get("alpha", 0.01)),
    "Elu": lambda call, xs: F.elu(xs[0], call.get("alpha", 1.0)),
    "PRelu": lambda call, xs: torch.where(xs[0] > 0, xs[0], xs[0] * xs[1]),
    "HardSigmoid": lambda call, xs: (xs[0] * call.get("alpha", 0.2) + call.get("beta", 0.5)).clamp(0, 1),
    "Gelu": lambda call, xs: F.gelu(xs[0], approximate=call.get("approximate", "none")),
    "Clip": clip,
    "Cast": cast,
    "CastLike": cast,
    "Identity": elementwise(lambda x: x),
    "Dropout": lambda call, xs: (xs[0], torch.ones_like(xs[0], dtype=torch.bool)),
    "Softmax": softmax(torch.softmax),
    "LogSoftmax": softmax(torch.log_softmax),
    "ReduceMean": reduction(lambda x, axes, kept: x.mean(axes, keepdim=kept)),
    "ReduceSum": reduction(lambda x, axes, kept: x.sum(axes, keepdim=kept)),
    "ReduceMax": reduction(lambda x, axes, kept: x.amax(axes, keepdim=kept)),
    "ReduceMin": reduction(lambda x, axes, kept: x.amin(axes, keepdim=kept)),
    "ReduceL2": reduction(lambda x, axes, kept: x.square().sum(axes, keepdim=kept).sqrt()),
    "ReduceSumSquare": reduction(lambda x, axes, kept: x.square().sum(axes, keepdim=kept)),
    "ArgMax": best(torch.argmax),
    "ArgMin": best(torch.argmin),
    "MatMul": elementwise(torch.matmul),
    "Gemm": gemm,
    "Einsum": lambda call, xs: torch.einsum(call.get("equation"), *xs),
    "LayerNormalization": layer_norm,
    "BatchNormalization": batch_norm,
    "InstanceNormalization": lambda call, xs: F.instance_norm(
        xs[0], weight=xs[1], bias=xs[2], eps=call.get("epsilon", 1e-5)
    ),
    "LpNormalization": lp_norm,
    "Resize": resize,
    "Upsample": resize,
    "Conv": convolutions.convolve,
    "ConvTranspose": convolutions.convolve_transposed,
    "MaxPool": convolutions.max_pool,
    "AveragePool": convolutions.average_pool,
    "GlobalAveragePool": lambda call, xs: xs[0].mean(list(range(2, xs[0].dim())), keepdim=True),
    "GlobalMaxPool": lambda call, xs: xs[0].amax(list(range(2, xs[0].dim())), keepdim=True),
}
