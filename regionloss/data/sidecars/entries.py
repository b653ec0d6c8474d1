"""Regions of images <-> entries of a side-car's rows: the one writer, and the one reader, of what rows list."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from regionloss.data.sidecars.schema import FARTHEST, schema
from regionloss.data.sidecars.sidecar import Row, scanned_kinds
from regionloss.regions import quads as shapes
from regionloss.regions.regions import Regions


class Entries(NamedTuple):
    """What a detector found in an image.

    Args:
        rows: Entries of its row.
        outside: How many regions more lie outside the image, or in what fills it up.
    """

    rows: list[Row]
    outside: int


def entries_of(found: Regions, detector: str, sizes: Sequence[tuple[int, int]]) -> list[Entries]:
    """Return what a detector found in images as entries of each image's row: relative to the image, clipped to it.

    Where an image is filled up to a larger one, a region at its edge may reach far into what fills it; what lies there
    alone is none of the image's.

    Args:
        found: Regions of B images.
        detector: Its name in the side-car.
        sizes: `(width, height)` of each image, in the regions' pixels.
    """
    rows: list[list[Row]] = [[] for _ in sizes]
    index = found.image_index.tolist()
    size = torch.tensor(sizes, dtype=torch.float64).reshape(-1, 2)[found.image_index.cpu()]
    boxes = found.boxes.detach().cpu().double()
    inside = torch.minimum(boxes.clamp(min=0), size.repeat(1, 2))
    kept = (inside[:, :2] < inside[:, 2:]).all(1)
    relative = (inside / size.repeat(1, 2)).tolist()
    points, quads = (
        None if given is None else (given.detach().cpu().double() / size[:, None]).flatten(1).tolist()
        for given in (found.keypoints, found.quads)
    )
    scores = None if found.scores is None else found.scores.tolist()
    for number in kept.nonzero().flatten().tolist():
        entry = {
            "kind": found.kind,
            "box": relative[number],
            "quad": None if quads is None or not all(map(math.isfinite, quads[number])) else quads[number],
            "keypoints": None if points is None else points[number],
            "score": 1.0 if scores is None else scores[number],
            "text": None if found.texts is None else found.texts[number],
            "detector": detector,
        }
        rows[index[number]].append(entry)
    counts = Counter(index)
    return [Entries(own, counts[image] - len(own)) for image, own in enumerate(rows)]


class Joined(NamedTuple):
    """What a side-car says of an image.

    Args:
        regions: Regions by kind; a kind that was never looked for is absent, one of which none was found is empty.
        dropped: How many entries are no boxes (inverted, not finite, outside), by `kind/invalid`; how many are of an
            image of another aspect, by `kind/aspect`: nobody has looked at this one.
        mirrors: Whether the image may be mirrored: it shows no text, wanted or not.
    """

    regions: Mapping[str, Regions]
    dropped: Mapping[str, int]
    mirrors: bool = True


class Rows:
    """A side-car's rows as flat arrays: an image's regions are a slice of them.

    Args:
        table: Table of the side-car's schema.
    """

    def __init__(self, table: Any) -> None:
        self.row = {key: number for number, key in enumerate(table["key"].to_pylist())}
        self.sizes = np.stack([table["width"].to_numpy(), table["height"].to_numpy()], 1)
        self.looked = [scanned_kinds(scans or ()) for scans in table["scans"].to_pylist()]
        lists = table["regions"].combine_chunks()
        entries = lists.flatten()
        counts = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        self.ends = np.concatenate([[0], np.cumsum(counts)])
        self.kinds = np.array(entries.field("kind").to_pylist(), dtype=object)
        self.boxes = entries.field("box").flatten().to_numpy(zero_copy_only=False).reshape(-1, 4)
        self.scores = entries.field("score").to_numpy(zero_copy_only=False)
        self.texts = entries.field("text").to_pylist()
        points = entries.field("keypoints")
        lengths = points.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        self.keypoints = {
            kind: padded(points, int(lengths[self.kinds == kind].max(initial=0))) for kind in set(self.kinds.tolist())
        }
        self.quads = padded(entries.field("quad").cast(points.type), 8)
        low, high = self.boxes[:, :2], self.boxes[:, 2:]
        near = (np.abs(self.boxes) <= FARTHEST).all(1) & np.isfinite(self.scores)
        self.usable = near & (low < high).all(1) & (low < 1).all(1) & (high > 0).all(1)

    def of(self, key: str, size: tuple[int, int], wanted: Sequence[str] | None) -> Joined:
        """Return the regions of an image of `size` (width, height)."""
        if (row := self.row.get(key)) is None:
            return Joined({}, {})
        start, end = self.ends[row], self.ends[row + 1]
        regions, dropped = {}, {}
        kinds = [kind for kind in self.looked[row] if wanted is None or kind in wanted]
        if not same_aspect(self.sizes[row].tolist(), size):
            counts = {f"{kind}/aspect": int((self.kinds[start:end] == kind).sum()) for kind in kinds}
            return Joined({}, {reason: count for reason, count in counts.items() if count})
        for kind in kinds:
            regions[kind], invalid = self.of_kind(row, kind, size)
            if invalid:
                dropped[f"{kind}/invalid"] = invalid
        return Joined(regions, dropped, not (self.kinds[start:end] == "text").any())

    def of_kind(self, row: int, kind: str, size: tuple[int, int]) -> tuple[Regions, int]:
        """Return a row's entries of one kind in pixels, and how many more are no boxes in the image."""
        start, (width, height) = self.ends[row], size
        mine = start + np.flatnonzero(self.kinds[start : self.ends[row + 1]] == kind)
        index, scale = mine[self.usable[mine]], np.array([width, height], dtype=np.float32)
        boxes = self.boxes[index] * np.tile(scale, 2)
        # Once more in pixels, where two numbers may have become one.
        if not (wide := boxes[:, :2] < boxes[:, 2:]).all():
            index, boxes = index[wide.all(1)], boxes[wide.all(1)]
        points, keypoints = self.keypoints.get(kind), None
        if points is not None and points.shape[1]:
            keypoints = torch.from_numpy(points[index].reshape(len(index), points.shape[1] // 2, 2) * scale)
        quads = shapes.clockwise(torch.from_numpy(self.quads[index].reshape(-1, 4, 2) * scale))
        texts = tuple(self.texts[i] or "" for i in index)
        regions = Regions.trusted(
            kind=kind,
            boxes=torch.from_numpy(boxes),
            image_index=torch.zeros(len(index), dtype=torch.int64),
            image_size=(height, width),
            num_images=1,
            keypoints=keypoints,
            scores=torch.from_numpy(self.scores[index]),
            texts=texts if any(texts) else None,
            quads=quads if bool(shapes.known(quads).any()) else None,
        )
        return regions, len(mine) - len(index)


def row_regions(
    row: Row, size: tuple[int, int], kinds: Collection[str] | None = None
) -> tuple[dict[str, Regions], Counter[str]]:
    """Return the regions of one row in pixels, by kind, and how many entries are no boxes, by `kind/invalid`.

    Args:
        row: Row of the side-car's schema.
        size: `(width, height)` of the image, of any aspect.
        kinds: Those that are wanted; None wants all that were looked for, and all that are there.
    """
    import pyarrow as pa

    rows, regions, dropped = Rows(pa.Table.from_pylist([row], schema=schema())), {}, Counter[str]()
    for kind in sorted({*rows.looked[0], *rows.kinds.tolist()} if kinds is None else kinds):
        found, invalid = rows.of_kind(0, kind, size)
        # A side-car has 1 where a source has no scores; a picture would show that as certainty.
        known = found.scores is not None and bool((found.scores != 1).any())
        regions[kind] = (found if known else found.changed(scores=None)).laid_out()
        dropped += Counter({f"{kind}/invalid": invalid})
    return regions, dropped


def same_aspect(first: Sequence[int], second: Sequence[int]) -> bool:
    """Whether one image may be the other, resized: a side of the smaller one is off by a pixel of rounding at most.

    Args:
        first: `(width, height)` of one, pixels.
        second: Height and width of the other image.
    """
    (width, height), (wide, high) = sorted((first, second), key=lambda size: size[0] * size[1])
    return abs(width * high - height * wide) <= max(wide, high)


def padded(lists: Any, length: int) -> np.ndarray:
    """Return lists of numbers as an array (N, length) float32, NaN where a list is shorter, or for no point."""
    rows = np.full((len(lists), length), np.nan, dtype=np.float32)
    counts = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    values = lists.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    starts = np.cumsum(counts) - counts
    for count in set(counts.tolist()) - {0}:
        # Detectors of one kind may give other numbers of keypoints: what is missing is unknown.
        right = np.flatnonzero(counts == count)[:, None]
        shown = min(count, length)
        rows[right, np.arange(shown)] = values[starts[right] + np.arange(shown)]
    return np.where(np.abs(rows) <= FARTHEST, rows, np.float32("nan"))
