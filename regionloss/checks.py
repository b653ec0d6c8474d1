"""Checks of what a caller hands over, in our wording."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from regionloss.errors import InputError, NotFiniteError, expected
from regionloss.regions.regions import Regions

RANGE_ADVICE: dict[tuple[tuple[float, float], tuple[float, float]], str] = {
    ((0, 255), (-1, 1)): "Divide by 127.5 and subtract 1.",
    ((0, 1), (-1, 1)): "Multiply by 2 and subtract 1, or say value_range=(0, 1){place}.",
    ((0, 255), (0, 1)): "Divide by 255.",
}


def size_of(size: Sequence[int], where: str) -> tuple[int, int]:
    """Return `(height, width)` from an option that may have come as a list.

    Raises:
        InputError: Not two positive whole numbers.
    """
    numbers = tuple(size) if isinstance(size, Sequence) else (size,)
    if len(numbers) != 2 or not all(isinstance(n, int) and n > 0 for n in numbers):
        raise InputError(expected(where, "[height, width] in pixels", str(size)))
    return numbers[0], numbers[1]


def range_of(value_range: Sequence[float], where: str = "value_range") -> tuple[float, float]:
    """Return `(low, high)` from an option that may have come as a list.

    Raises:
        InputError: Not two numbers in rising order.
    """
    numbers = tuple(value_range) if isinstance(value_range, Sequence) else (value_range,)
    if len(numbers) != 2 or not all(isinstance(n, int | float) for n in numbers) or not numbers[0] < numbers[1]:
        raise InputError(expected(where, "(low, high) with low < high, such as (0, 1)", str(value_range)))
    return numbers[0], numbers[1]


def check_images(images: Tensor, where: str) -> None:
    """Raise InputError unless `images` are (B, 3, H, W) floats. Reads no values."""
    if not isinstance(images, Tensor):
        raise InputError(expected(where, "a tensor (B, 3, H, W)", type(images).__name__))
    if images.ndim == 5:
        advice = "Fold time into the batch: images.flatten(0, 1), with image_index counting frames."
    elif images.ndim == 3:
        advice = "Add a batch dimension: images[None]."
    elif images.ndim == 4 and images.shape[1] == 1:
        advice = "Grey images: images.expand(-1, 3, -1, -1)."
    elif images.ndim == 4 and images.shape[1] == 4:
        advice = "Drop or blend the alpha channel: images[:, :3]."
    elif images.ndim == 4 and images.shape[3] == 3:
        advice = "Channels come first: images.permute(0, 3, 1, 2)."
    else:
        advice = ""
    if images.ndim != 4 or images.shape[1] != 3:
        raise InputError(expected(where, "(B, 3, H, W)", str(tuple(images.shape)), advice))
    if images.layout != torch.strided:
        raise InputError(expected(where, "a dense tensor", str(images.layout), "Convert: images.to_dense()."))
    if not images.is_floating_point():
        advice = "Convert: images.float() / 127.5 - 1."
        raise InputError(expected(where, "floating point values in [-1, 1]", str(images.dtype), advice))


def check_pair(reconstruction: Tensor, target: Tensor) -> None:
    """Raise InputError unless both are images of one shape on one device."""
    check_images(reconstruction, "reconstruction")
    check_images(target, "target")
    if reconstruction.shape != target.shape:
        shapes = f"{tuple(reconstruction.shape)} and {tuple(target.shape)}"
        raise InputError(expected("reconstruction, target", "one shape", shapes))
    if target.dtype == torch.float64 != reconstruction.dtype:
        advice = "Convert the target: target.float()."
        raise InputError(
            expected("reconstruction, target", "one precision", f"{reconstruction.dtype} and float64", advice)
        )
    if reconstruction.device != target.device:
        devices = f"{reconstruction.device} and {target.device}"
        raise InputError(expected("reconstruction, target", "one device", devices))
    check_direction(reconstruction, target)


def check_direction(reconstruction: Tensor, target: Tensor, where: str = "reconstruction, target") -> None:
    """Raise InputError where gradients are on and the target alone would take one: the two are exchanged.

    A target's gradient is never computed, so the value would be right, and nothing would be trained.
    """
    if torch.is_grad_enabled() and target.requires_grad and not reconstruction.requires_grad:
        got = "one that does not, and a target that does"
        advice = "Exchange the two; or, where nothing is trained, detach the target."
        raise InputError(expected(where, "a reconstruction that requires a gradient", got, advice))


def check_made(made: object, source: Tensor, shape: tuple[int | None, ...], where: str, more: bool = False) -> None:
    """Raise InputError unless what a replaceable part made fits what it was made from. Reads no values.

    What broadcasts, (R, 1) or one number for all regions, and what has lost its gradient, would be another loss without
    a word.

    Args:
        made: A tensor of floating point numbers on the source's device; it takes a gradient where the source does.
        source: Tensor that it was made from.
        shape: Sizes of the dimensions; None stands for any size.
        where: Name of the part that made the tensor, for the sentence.
        more: Whether further dimensions may follow those of `shape`.
    """
    if not isinstance(made, Tensor) or not has_shape(made, shape, more):
        sizes = ["R", *("any" if n is None else str(n) for n in shape[1:])]
        wanted = f"({', '.join(sizes)}{', ...' if more else ',' if len(sizes) == 1 else ''}) with R = {shape[0]}"
        got = str(tuple(made.shape)) if isinstance(made, Tensor) else type(made).__name__
        raise InputError(expected(where, f"a tensor {wanted}", got))
    if not made.is_floating_point():
        raise InputError(expected(where, "floating point numbers", str(made.dtype)))
    if made.device != source.device:
        raise InputError(expected(where, f"a tensor on {source.device}, as its input", str(made.device)))
    if torch.is_grad_enabled() and source.requires_grad and not made.requires_grad:
        advice = "Look for .detach(), no_grad, rounding or NumPy in it."
        raise InputError(expected(where, "a gradient to what it was given", "none", advice))


def has_shape(tensor: Tensor, shape: tuple[int | None, ...], more: bool = False) -> bool:
    """Return whether a tensor has these sizes, None for any; and no dimension beyond, unless there may be more."""
    sizes = zip(shape, tensor.shape, strict=False)
    fits = tensor.ndim == len(shape) or (more and tensor.ndim > len(shape))
    return fits and all(wanted is None or wanted == size for wanted, size in sizes)


def check_regions(regions: Regions, images: Tensor) -> None:
    """Raise InputError unless the regions belong to these images. Reads no values from an accelerator."""
    if not isinstance(regions, Regions):
        advice = "A batch of several kinds is for LossTerms."
        raise InputError(expected("regions", "Regions or None", type(regions).__name__, advice))
    where = f"regions['{regions.kind}']"
    size = (images.shape[2], images.shape[3])
    if tuple(regions.image_size) != size:
        advice = "Resize or crop regions together with their images."
        raise InputError(expected(f"{where}.image_size", str(size), str(tuple(regions.image_size)), advice))
    if regions.num_images is not None and regions.num_images != len(images):
        got = f"{regions.num_images}"
        raise InputError(expected(f"{where}.num_images", f"{len(images)} as in the batch", got))
    if len(regions) and regions.device.type == "cpu" and not torch.compiler.is_compiling():
        last = int(regions.image_index.max())
        if last >= len(images):
            raise InputError(expected(f"{where}.image_index", f"0 to {len(images) - 1}", str(last)))


def warn_of_none(example: str, stacklevel: int) -> None:
    """Warn of a first call that trains and was given no regions at all; the example says what serves."""
    sentence = expected("regions", f"such as {example}", "none, so this is 0")
    advice = "Of a batch in which nothing was found, Regions.empty(...) says so."
    warnings.warn(f"{sentence} regionloss.detect finds them. {advice}", stacklevel=stacklevel + 1)


def check_finite(images: Tensor, where: str) -> None:
    """Raise NotFiniteError for NaN or infinite values. Reads values back from the device: for first calls only."""
    if images.device.type == "meta":  # holds no values
        return
    bad = int((~images.detach().isfinite()).any(dim=3).any(dim=2).any(dim=1).sum())
    if bad:
        got = f"NaN or inf in {bad} of {len(images)} images"
        raise NotFiniteError(expected(where, "finite values", got, "Look for the step that made them."))


def check_finite_value(value: Tensor, where: str) -> None:
    """Raise NotFiniteError for a loss (0-d) that is NaN or infinite. Reads it back from the device."""
    if value.device.type != "meta" and not bool(value.detach().isfinite()):
        advice = "Look at the reconstruction: it holds NaN or huge values, mostly from a step too large."
        raise NotFiniteError(expected(where, "a finite value", str(float(value.detach())), advice))


def check_range(
    images: Tensor, value_range: tuple[float, float], where: str, place: str = " where the loss is built"
) -> None:
    """Raise InputError for values that are not numbers or clearly outside the range; warn where it looks like [0, 1].

    Reads values back from the device: for first calls only. `place` says where a caller can say `value_range`.
    """
    check_finite(images, where)
    if images.numel() == 0 or images.device.type == "meta":
        return
    low, high = (float(v) for v in torch.aminmax(images.detach().float()))
    wanted = f"values in [{value_range[0]:g}, {value_range[1]:g}]"
    slack = 0.05 * (value_range[1] - value_range[0])
    seen = (0, 255) if low >= 0 and high > 2 else (0, 1) if low >= 0 and high <= 1 else None
    advice = RANGE_ADVICE.get((seen or (0, 0), value_range), "Rescale the images, or say value_range{place}.").format(
        place=place
    )
    if low < value_range[0] - slack or high > value_range[1] + slack:
        got = f"[{seen[0]}, {seen[1]}]" if seen else f"[{low:.4g}, {high:.4g}]"
        raise InputError(expected(where, wanted, got, advice))
    if seen == (0, 1) and value_range != (0, 1) and high > low:
        # A dark image may look like that too: no proof, hence no error.
        got = f"a first batch in [{low:.3g}, {high:.3g}]"
        warnings.warn(expected(where, wanted, got, f"If the images are in [0, 1]: {advice}"), stacklevel=3)
