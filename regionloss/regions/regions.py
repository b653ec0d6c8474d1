"""Regions: the one type that every stage speaks. A ragged batch of boxes of one kind, with optional keypoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from regionloss.errors import InputError, expected
from regionloss.regions.access import RegionAccess
from regionloss.regions.layout import Layout
from regionloss.tensors import constants


@dataclass(frozen=True, eq=False, repr=False)
class Regions(RegionAccess):
    """R regions of one kind in a batch of images; R may be zero.

    Args:
        kind: Region kind, e.g. `"text"`.
        boxes: (R, 4) float, `x1, y1, x2, y2` in continuous pixels: pixel i covers [i, i + 1).
        image_index: (R,) int64, the image in the batch that each region belongs to.
        image_size: `(H, W)` of the images, pixels.
        num_images: Images in the batch, those without regions included; None leaves it to the images given later.
        keypoints: (R, K, 2) float, x and y in pixels, NaN where unknown; or None.
        scores: (R,) float in [0, 1]; or None.
        valid: (R,) bool; a region that is not valid weighs zero, and its box is not looked at. None means all are.
        annotated: (B,) bool, whether a detector looked at the image at all; None means all were looked at.
        texts: Transcriptions of the R regions; or None.
        layout: Arrangement of the regions for sampling, known on the host; computed anew while the boxes are on a CPU.

    Raises:
        InputError: Wrong shapes; and, while the boxes are on a CPU, boxes that are empty, inverted, not finite or
            outside the image, and an image index outside the batch.
    """

    kind: str
    boxes: Tensor
    image_index: Tensor
    image_size: tuple[int, int]
    num_images: int | None = None
    keypoints: Tensor | None = None
    scores: Tensor | None = None
    valid: Tensor | None = None
    annotated: Tensor | None = None
    texts: tuple[str, ...] | None = None
    layout: Layout | None = None

    def __post_init__(self) -> None:
        check_types(self)
        check_shapes(self)
        if self.valid is not None:
            self._blank_invalid(self.valid)
        if self._on_host():
            check_values(self)
            object.__setattr__(self, "layout", self._layout())

    def _blank_invalid(self, valid: Tensor) -> None:
        # Whatever stood there, even NaN, must not reach a crop: zero times NaN is NaN in a gradient.
        corner = constants((0, 0, 1, 1), self.boxes)
        object.__setattr__(self, "boxes", torch.where(valid[:, None], self.boxes, corner))
        if self.keypoints is not None:
            blank = torch.where(valid[:, None, None], self.keypoints, torch.nan)
            object.__setattr__(self, "keypoints", blank)

    def _on_host(self) -> bool:
        return self.boxes.device.type == "cpu" and not torch.compiler.is_compiling()

    def _layout(self) -> Layout:
        return Layout.of(self.boxes, self.image_index, self.keypoints, self.num_images)

    def __len__(self) -> int:
        return self.boxes.shape[0]

    @property
    def device(self) -> torch.device:
        """Where the boxes are."""
        return self.boxes.device

    @property
    def areas(self) -> Tensor:
        """(R,) area of each box clipped to the image, in square pixels."""
        height, width = self.image_size
        x = self.boxes[:, 0::2].clamp(0, width)
        y = self.boxes[:, 1::2].clamp(0, height)
        return (x[:, 1] - x[:, 0]) * (y[:, 1] - y[:, 0])

    @classmethod
    def empty(
        cls, kind: str, image_size: tuple[int, int], num_images: int | None = None, keypoints: int = 0
    ) -> Regions:
        """Return a batch in which no image has a region (scanned, nothing found)."""
        return cls(
            kind,
            torch.zeros(0, 4),
            torch.zeros(0, dtype=torch.int64),
            image_size,
            num_images,
            keypoints=torch.zeros(0, keypoints, 2) if keypoints else None,
        )

    @classmethod
    def single(
        cls,
        kind: str,
        boxes: Tensor,
        image_size: tuple[int, int],
        *,
        keypoints: Tensor | None = None,
        scores: Tensor | None = None,
        texts: tuple[str, ...] | None = None,
    ) -> Regions:
        """Return the regions of one image, a batch of one; see the class."""
        index = torch.zeros(len(boxes), dtype=torch.int64, device=boxes.device)
        return cls(kind, boxes, index, image_size, 1, keypoints=keypoints, scores=scores, texts=texts)

    @classmethod
    def trusted(cls, **values: Any) -> Regions:
        """Return regions of values that are known to fit, by field; they are neither checked nor laid out.

        Transforms make many a second of regions that were checked: `collate_regions` checks what came of them.
        """
        regions = object.__new__(cls)
        for name, value in values.items():
            object.__setattr__(regions, name, value)
        return regions

    def changed(self, **values: Any) -> Regions:
        """Return these regions with other values, `trusted`; `dataclasses.replace` checks and lays out."""
        kept = {field.name: getattr(self, field.name) for field in fields(self)}
        return Regions.trusted(**kept | {"layout": None} | values)

    def laid_out(self) -> Regions:
        """Return these regions with their layout, as far as it is known on the host."""
        return self.changed(layout=self._layout()) if self.layout is None and self._on_host() else self

    def to(self, device: torch.device | str, non_blocking: bool = False, dtype: torch.dtype | None = None) -> Regions:
        """Return the regions on another device; the host's knowledge of their layout travels along.

        Args:
            device: Device to copy the tensors to.
            non_blocking: Whether not to wait for copies from pinned memory, as in `Tensor.to`.
            dtype: Precision of boxes, keypoints and scores; None keeps it.
        """
        moved = {name: value.to(device, non_blocking=non_blocking) for name, value in self.laid_out()._parts().items()}
        if dtype is not None:
            moved |= {n: v.to(dtype) for n, v in moved.items() if isinstance(v, Tensor) and v.is_floating_point()}
        return self.changed(**moved)

    def pin_memory(self) -> Regions:
        """Return the regions in page-locked memory (called by `DataLoader(pin_memory=True)`)."""
        return self.changed(**{name: value.pin_memory() for name, value in self.laid_out()._parts().items()})

    def _parts(self) -> dict[str, Tensor | Layout]:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Tensor | Layout)}

    def select(self, index: Tensor) -> Regions:
        """Return the regions that a mask (R,) bool or an index (N,) int64 names, in that order."""
        positions = index.nonzero().flatten() if index.dtype == torch.bool else index
        rows: dict[str, Any] = {
            name: value[positions]
            for name in ("boxes", "image_index", "keypoints", "scores", "valid")
            if (value := getattr(self, name)) is not None
        }
        texts = None if self.texts is None else tuple(self.texts[i] for i in positions.tolist())
        return self.changed(**rows, texts=texts)

    def of_image(self, image: int) -> Regions:
        """Return the regions of one image as a batch of one."""
        picked = self.select((self.image_index == image).nonzero().flatten())
        annotated = None if self.annotated is None else self.annotated[image : image + 1]
        return picked.changed(image_index=torch.zeros_like(picked.image_index), num_images=1, annotated=annotated)

    def padded(self, counts: Sequence[int] = (0, 4, 8, 16, 32, 64, 128, 256, 512, 1024)) -> Regions:
        """Return the regions filled up with invalid ones to the next of a few counts.

        Invalid regions weigh zero, so the loss is unchanged; shapes that repeat let `torch.compile` reuse a graph.
        """
        missing = next((n for n in counts if n >= len(self)), len(self)) - len(self)
        if missing == 0:
            return self
        pad = {"boxes": self.boxes.new_tensor([0.0, 0.0, 1.0, 1.0]).expand(missing, 4)}
        cycle = torch.arange(missing, device=self.device) % max(len(self), 1)
        pad["image_index"] = self.image_index[cycle] if len(self) else cycle
        pad["valid"] = torch.zeros(missing, dtype=torch.bool, device=self.device)
        if self.keypoints is not None:
            pad["keypoints"] = self.keypoints.new_full((missing, *self.keypoints.shape[1:]), torch.nan)
        if self.scores is not None:
            pad["scores"] = self.scores.new_zeros(missing)
        whole = {"valid": torch.ones(len(self), dtype=torch.bool, device=self.device)} if self.valid is None else {}
        rows: dict[str, Any] = {
            name: torch.cat([whole.get(name, getattr(self, name)), more]) for name, more in pad.items()
        }
        texts = None if self.texts is None else (*self.texts, *[""] * missing)
        return self.changed(**rows, texts=texts)


def check_types(regions: Regions) -> None:
    """Raise InputError for fields that are not tensors, and sizes that are not whole numbers."""
    needed = ("boxes", "image_index")
    for name in (*needed, "keypoints", "scores", "valid", "annotated"):
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
    keypoints = regions.keypoints
    if keypoints is not None and (keypoints.ndim != 3 or keypoints.shape[0] != count or keypoints.shape[2] != 2):
        raise InputError(expected("keypoints", f"({count}, K, 2)", str(tuple(keypoints.shape))))
    if keypoints is not None and not keypoints.is_floating_point():
        raise InputError(expected("keypoints", "floating point numbers", str(keypoints.dtype)))
    for name in ("scores", "valid"):
        value = getattr(regions, name)
        if value is not None and value.shape != (count,):
            raise InputError(expected(name, f"({count},)", str(tuple(value.shape))))
    if regions.valid is not None and regions.valid.dtype != torch.bool:
        raise InputError(expected("valid", "bool", str(regions.valid.dtype)))
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
    low, high = int(regions.image_index.min()), int(regions.image_index.max())
    if low < 0 or (regions.num_images is not None and high >= regions.num_images):
        limit = "" if regions.num_images is None else f" to {regions.num_images - 1}"
        raise InputError(expected(f"image_index ({regions.kind})", f"0{limit}", f"{low} to {high}"))


# A batch that holds regions is loaded with weights_only=True, too.
torch.serialization.add_safe_globals([Regions, Layout])
