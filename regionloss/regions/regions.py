"""Regions: the one type that every stage speaks. A ragged batch of boxes of one kind, with optional keypoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from regionloss.regions import quads as shapes
from regionloss.regions.access import RegionAccess
from regionloss.regions.fields import BLANK, blank, check_shapes, check_types, check_values
from regionloss.regions.layout import Largest, Layout


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
        quads: (R, 4, 2) float, x and y of four corners in pixels, clockwise from the upper left as read, NaN for a
            region that is its box; or None. They may reach outside the image, as keypoints may.
        weights: (R,) float, 0 or more, by which a term multiplies what its weighting says; or None.
        layout: Arrangement of the regions for sampling, known on the host; computed anew while the boxes are on a CPU.

    Raises:
        InputError: Wrong shapes; and, while the boxes are on a CPU, boxes that are empty, inverted, not finite or
            outside the image, corners of no convex shape or in another order, an image index outside the batch, and
            weights that are negative or not finite.
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
    quads: Tensor | None = None
    weights: Tensor | None = None
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
        for name in ("boxes", "quads", "keypoints", "weights"):
            if (value := getattr(self, name)) is not None:
                shown = valid.view(-1, *[1] * (value.ndim - 1))
                object.__setattr__(self, name, torch.where(shown, value, blank(name, value, len(value))))

    def _on_host(self) -> bool:
        return self.boxes.device.type == "cpu" and not torch.compiler.is_compiling()

    def _layout(self, fixed: bool = False) -> Layout:
        return Layout.of(self.boxes, self.image_index, self.keypoints, self.num_images, self.quads, fixed)

    def __len__(self) -> int:
        return self.boxes.shape[0]

    @property
    def device(self) -> torch.device:
        """Where the boxes are."""
        return self.boxes.device

    @property
    def areas(self) -> Tensor:
        """(R,) area of each quadrilateral, or box where there is none, clipped to the image, in square pixels."""
        height, width = self.image_size
        x = self.boxes[:, 0::2].clamp(0, width)
        y = self.boxes[:, 1::2].clamp(0, height)
        boxes = (x[:, 1] - x[:, 0]) * (y[:, 1] - y[:, 0])
        if self.quads is None:
            return boxes
        return torch.where(shapes.known(self.quads), shapes.areas_inside(self.quads, self.image_size), boxes)

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
        quads: Tensor | None = None,
        weights: Tensor | None = None,
    ) -> Regions:
        """Return the regions of one image, a batch of one; see the class."""
        index = torch.zeros(len(boxes), dtype=torch.int64, device=boxes.device)
        given = {"keypoints": keypoints, "scores": scores, "texts": texts, "quads": quads, "weights": weights}
        return cls(kind, boxes, index, image_size, 1, **given)  # type: ignore[arg-type]  # of their fields

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
        return Regions.trusted(**{**kept, "layout": None, **values})

    def laid_out(self) -> Regions:
        """Return these regions with their layout, as far as it is known on the host."""
        return self.changed(layout=self._layout()) if self.layout is None and self._on_host() else self

    def to(self, device: torch.device | str, non_blocking: bool = False, dtype: torch.dtype | None = None) -> Regions:
        """Return the regions on another device; the host's knowledge of their layout travels along.

        Args:
            device: Device to copy the tensors to.
            non_blocking: Whether not to wait for copies from pinned memory, as in `Tensor.to`.
            dtype: Precision of boxes, quadrilaterals, keypoints and scores; None keeps it.
        """
        moved = {name: value.to(device, non_blocking=non_blocking) for name, value in self.laid_out()._parts().items()}
        if dtype is not None:
            kept = {n: v for n, v in moved.items() if isinstance(v, Tensor) and v.is_floating_point()}
            moved.update({n: v.to(dtype) for n, v in kept.items()})
        return self.changed(**moved)

    def pin_memory(self) -> Regions:
        """Return the regions in page-locked memory (called by `DataLoader(pin_memory=True)`)."""
        return self.changed(**{name: value.pin_memory() for name, value in self.laid_out()._parts().items()})

    def _parts(self) -> dict[str, Tensor | Layout]:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, (Tensor, Layout))}

    def select(self, index: Tensor) -> Regions:
        """Return the regions that a mask (R,) bool or an index (N,) int64 names, in that order."""
        positions = index.nonzero().flatten() if index.dtype == torch.bool else index
        rows: dict[str, Any] = {
            name: value[positions] for name in ("image_index", *BLANK) if (value := getattr(self, name)) is not None
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

        Invalid regions weigh zero, so the loss is unchanged. Regions of one count in batches of one size have one shape
        and arrangement, so that `torch.compile` makes one graph for each count.
        """
        missing = next((n for n in counts if n >= len(self)), len(self)) - len(self)
        cycle = torch.arange(missing, device=self.device) % max(len(self), 1)
        images = self.image_index[cycle] if len(self) else cycle
        rows: dict[str, Any] = {"image_index": torch.cat([self.image_index, images])}
        whole = torch.ones(len(self), dtype=torch.bool, device=self.device) if self.valid is None else self.valid
        for name in BLANK:
            if (value := whole if name == "valid" else getattr(self, name)) is not None:
                rows[name] = torch.cat([value, blank(name, value, missing)])
        texts = None if self.texts is None else (*self.texts, *[""] * missing)
        filled = self.changed(**rows, texts=texts)
        return filled.changed(layout=filled._layout(fixed=True)) if filled._on_host() else filled


# A batch that holds regions is loaded with weights_only=True, too.
torch.serialization.add_safe_globals([Regions, Layout, Largest])
