"""What may stand in the fields of regions: types, shapes, values, and what stands for a region that is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from regionloss.errors import InputError, expected
from regionloss.regions import quads as shapes
from regionloss.tensors import constants

if TYPE_CHECKING:
    from regionloss.regions.regions import Regions

#: Fields with a row a region, and what stands in the row of one that is not valid.
BLANK = {
    "boxes": (0, 0, 1, 1),
    "quads": (0, 0, 1, 0, 1, 1, 0, 1),
    "keypoints": (torch.nan,),
    "scores": (0,),
    "valid": (False,),
    "weights": (0,),
}


def blank(name: str, like: Tensor, count: int) -> Tensor:
    """Return rows (count, ...) of a field for regions that are not valid."""
    values = constants(BLANK[name], like)
    return (values if len(values) == 1 else values.view(like.shape[1:])).expand(count, *like.shape[1:])


def check_types(regions: Regions) -> None:
    """Raise InputError for fields that are not tensors, and sizes that are not whole numbers."""
    needed = ("boxes", "image_index")
    for name in (*BLANK, "image_index", "annotated"):
        value = getattr(regions, name)
        if not isinstance(value, Tensor) and not (value is None and name not in needed):
            advice = f"Convert: torch.as_tensor({name})."
            raise InputError(expected(name, "a tensor", type(value).__name__, advice))
        if value is not None and (value.layout != torch.strided or value.device != regions.boxes.device):
            wanted = f"a dense tensor on {regions.boxes.device}, where the boxes are"
            raise InputError(expected(name, wanted, f"{value.layout} on {value.device}"))
    if not isinstance(regions.kind, str) or not regions.kind:
        raise InputError(expected("kind", "a name such as 'text'", repr(regions.kind)))
    size = regions.image_size
    if not isinstance(size, tuple | list | torch.Size) or len(size) != 2 or not all(isinstance(n, int) for n in size):
        raise InputError(expected("image_size", "(H, W) in pixels", str(size)))
    if regions.texts is not None and not isinstance(regions.texts, tuple | list):
        got = f"one string, {regions.texts!r}" if isinstance(regions.texts, str) else type(regions.texts).__name__
        raise InputError(expected("texts", "a tuple of strings", got))
    if not (regions.num_images is None or isinstance(regions.num_images, int)):
        raise InputError(expected("num_images", "a whole number or None", repr(regions.num_images)[:60]))


def check_shapes(regions: Regions) -> None:
    """Raise InputError where the shapes of a `Regions` do not fit one another. Reads no values."""
    boxes = regions.boxes
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not boxes.is_floating_point():
        raise InputError(expected("boxes", "a float tensor (R, 4)", f"{boxes.dtype} {tuple(boxes.shape)}"))
    count = len(boxes)
    if regions.image_index.shape != (count,) or regions.image_index.dtype != torch.int64:
        got = f"{regions.image_index.dtype} {tuple(regions.image_index.shape)}"
        raise InputError(expected("image_index", f"int64 ({count},)", got))
    for name, most in (("keypoints", "K"), ("quads", 4)):
        points = getattr(regions, name)
        fits = points is None or (points.ndim == 3 and points.shape[0] == count and points.shape[2] == 2)
        if not fits or (points is not None and points.shape[1] != most != "K"):
            raise InputError(expected(name, f"({count}, {most}, 2)", str(tuple(points.shape))))
        if points is not None and not points.is_floating_point():
            raise InputError(expected(name, "floating point numbers", str(points.dtype)))
    for name in ("scores", "valid", "weights"):
        value = getattr(regions, name)
        if value is not None and value.shape != (count,):
            raise InputError(expected(name, f"({count},)", str(tuple(value.shape))))
    if regions.valid is not None and regions.valid.dtype != torch.bool:
        raise InputError(expected("valid", "bool", str(regions.valid.dtype)))
    if regions.weights is not None and not regions.weights.is_floating_point():
        raise InputError(expected("weights", "floating point numbers", str(regions.weights.dtype)))
    if regions.texts is not None and len(regions.texts) != count:
        raise InputError(expected("texts", f"{count} of them", str(len(regions.texts))))
    flags = regions.annotated
    if flags is not None and (flags.ndim != 1 or regions.num_images not in (None, len(flags))):
        raise InputError(expected("annotated", f"({regions.num_images or 'B'},)", str(tuple(flags.shape))))
    if min(regions.image_size) < 1:
        raise InputError(expected("image_size", "(H, W) in pixels", str(regions.image_size)))


def check_values(regions: Regions) -> None:
    """Raise InputError for boxes that no crop can be cut from. Called while the boxes are on a CPU."""
    if len(regions) == 0:
        return
    boxes, (height, width) = regions.boxes, regions.image_size
    size = boxes[:, 2:] - boxes[:, :2]
    outside = (boxes[:, 2:] <= 0).any(1) | (boxes[:, 0] >= width) | (boxes[:, 1] >= height)
    problems = (
        (~boxes.isfinite().all(1), "finite numbers", "Drop the region, or mask it with valid=False."),
        ((size <= 0).any(1), "x1 < x2 and y1 < y2", "Boxes are x1, y1, x2, y2, not x, y, width, height."),
        (outside, f"a box inside the image of {height} x {width} pixels", "Clip or drop it when collating."),
    )
    for mask, wanted, advice in problems:
        if bool(mask.any()):
            first = int(mask.nonzero()[0])
            got = [round(v, 3) for v in boxes[first].tolist()]
            raise InputError(expected(f"boxes[{first}] ({regions.kind})", wanted, str(got), advice))
    if regions.quads is not None:
        shapes.check_quads(regions.quads, regions.kind)
    weights = regions.weights
    if weights is not None and not bool((weights.isfinite() & (weights >= 0)).all()):
        bad = float(weights[~(weights.isfinite() & (weights >= 0))][0])
        raise InputError(expected(f"weights ({regions.kind})", "finite numbers, 0 or more", f"{bad:g}"))
    low, high = int(regions.image_index.min()), int(regions.image_index.max())
    if low < 0 or (regions.num_images is not None and high >= regions.num_images):
        limit = "" if regions.num_images is None else f" to {regions.num_images - 1}"
        raise InputError(expected(f"image_index ({regions.kind})", f"0{limit}", f"{low} to {high}"))
