"""Side-cars joined to the images of shards, by key: rows of a Parquet file -> regions in an image's pixels."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch

from regionloss.data.shards.keys import LAST
from regionloss.data.shards.paths import exists, is_local
from regionloss.data.shards.tar_index import Head, mark_of
from regionloss.data.sidecars.schema import FARTHEST
from regionloss.data.sidecars.sidecar import read_book, read_sidecar, scanned_kinds, sidecar_path
from regionloss.errors import InputError, did_you_mean, expected
from regionloss.regions.collation import LooseRegions
from regionloss.regions.regions import Regions

MOST_OPEN, THREADS = 8, 16


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


class Sidecars:
    """The side-cars of a source's shards; each is read when its shard is.

    Args:
        folder: Folder that `regionloss annotate` has written.
        kinds: Kinds that are wanted; None wants all that were looked for.
    """

    def __init__(self, folder: str, kinds: Sequence[str] | None = None) -> None:
        self.folder, self.kinds = folder, None if kinds is None else tuple(kinds)
        self._open: OrderedDict[str, Rows | None] = OrderedDict()

    def __call__(self, shard: str, key: str, size: tuple[int, int]) -> Joined:
        """Return the regions of an image of `size` (width, height)."""
        rows = self.rows(shard)
        return Joined({}, {}) if rows is None else rows.of(key, size, self.kinds)

    def rows(self, shard: str) -> Rows | None:
        """Return the rows of a shard; None where it has no side-car."""
        if shard not in self._open:
            try:
                self._open[shard] = Rows(read_sidecar(sidecar_path(self.folder, shard)).table)
            except FileNotFoundError:
                self._open[shard] = None
        self._open.move_to_end(shard)
        if len(self._open) > MOST_OPEN:
            self._open.popitem(last=False)
        return self._open[shard]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": OrderedDict()}


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
            kind: fixed(points, int(lengths[self.kinds == kind].max(initial=0))) for kind in set(self.kinds.tolist())
        }
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
            mine = start + np.flatnonzero(self.kinds[start:end] == kind)
            good = mine[self.usable[mine]]
            regions[kind] = self.made(kind, good, size)
            if len(good) < len(mine):
                dropped[f"{kind}/invalid"] = len(mine) - len(good)
        return Joined(regions, dropped, not (self.kinds[start:end] == "text").any())

    def made(self, kind: str, index: np.ndarray, size: tuple[int, int]) -> Regions:
        """Return entries of one kind in pixels."""
        width, height = size
        scale = np.array([width, height], dtype=np.float32)
        points = self.keypoints.get(kind)
        keypoints = None
        if points is not None and points.shape[1]:
            keypoints = torch.from_numpy(points[index].reshape(len(index), points.shape[1] // 2, 2) * scale)
        texts = tuple(self.texts[i] or "" for i in index)
        return LooseRegions(
            kind,
            torch.from_numpy(self.boxes[index] * np.tile(scale, 2)),
            torch.zeros(len(index), dtype=torch.int64),
            (height, width),
            1,
            keypoints=keypoints,
            scores=torch.from_numpy(self.scores[index]),
            texts=texts if any(texts) else None,
        )


def same_aspect(first: Sequence[int], second: Sequence[int]) -> bool:
    """Whether one image may be the other, resized: a side of the smaller one is off by a pixel of rounding at most.

    Args:
        first: Height and width of one image.
        second: Height and width of the other image.
    """
    (width, height), (wide, high) = sorted((first, second), key=lambda size: size[0] * size[1])
    return abs(width * high - height * wide) <= max(wide, high)


def fixed(lists: Any, length: int) -> np.ndarray:
    """Return lists of numbers as an array (N, length) float32, NaN where a length is another, or for no point."""
    rows = np.full((len(lists), length), np.nan, dtype=np.float32)
    counts = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    right = np.flatnonzero(counts == length)
    if length and len(right):
        values = lists.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
        starts = np.cumsum(counts) - counts
        rows[right] = values[starts[right, None] + np.arange(length)]
    return np.where(np.abs(rows) <= FARTHEST, rows, np.float32("nan"))


def check_found(folder: str, shards: Sequence[str], heads: Mapping[str, Head] = MappingProxyType({})) -> list[str]:
    """Return sentences for shards without side-car, and for those whose side-car is of another state of them.

    Args:
        folder: Folder of the side-cars.
        shards: Paths or addresses of the shards.
        heads: What is known of each shard without reading it, by path.

    Raises:
        InputError: None of them has one, or two shards have the same: keys of one would find regions of the other.
    """
    owners: dict[str, str] = {}
    for shard in shards:
        if owners.setdefault(path := sidecar_path(folder, shard), shard) != shard:
            got = f"'{owners[path]}' and '{shard}'"
            advice = "Make two sources of them, each with its own folder of regions."
            raise InputError(expected(path, "the side-car of one shard", got, advice))
    missing = [shard for shard in shards if not exists(sidecar_path(folder, shard))]
    if len(missing) == len(shards):
        wanted = f"'{sidecar_path(folder, shards[0])}' and others like it"
        advice = "Run 'regionloss annotate' on these images, or leave out 'regions'."
        if exists(beside := sidecar_path("", shards[0])):
            advice = f"There is '{beside}': say regions: {beside.rpartition('/')[0] or '.'}"
        raise InputError(expected(f"regions ('{folder}')", wanted, "none of them", advice))
    with ThreadPoolExecutor(THREADS) as pool:
        there = [shard for shard in shards if shard not in set(missing)]
        others = [s for s, same in zip(there, pool.map(partial(is_of, folder), there), strict=True) if not same]
    keyed = [shard for shard in there if shard in heads and is_keyed_otherwise(folder, shard, heads[shard])]
    facts = (
        (missing, "have no side-car"),
        (others, "have changed since they were annotated: annotate them again"),
        (keyed, "have side-cars in which other images have their keys: annotate them again"),
    )
    told = f"{folder}: {{}} of {len(shards)} shards {{}}, the first is {{}}."
    return [told.format(len(found), fact, found[0]) for found, fact in facts if found]


def is_keyed_otherwise(folder: str, shard: str, head: Head) -> bool:
    """Whether a shard's side-car has keys up to another dot, or took the first of two images of one name."""
    if head.rule != LAST and not head.counts.get("twice"):
        return False
    rule = read_book(sidecar_path(folder, shard)).rule
    return not rule or rule != head.rule


def is_of(folder: str, shard: str) -> bool:
    """Whether the side-car of a shard is of the shard as it is now; what cannot be told quickly is taken to be."""
    if not is_local(shard) or not os.path.isfile(shard):
        return True
    return read_book(sidecar_path(folder, shard)).shard in ("", mark_of(shard))


def check_kinds(folder: str, wanted: Sequence[str], shards: Sequence[str]) -> None:
    """Look for kinds in side-cars, as far as need be.

    Raises:
        InputError: A kind that none of them was looked through for.
    """
    found: set[str] = set()
    there = (path for path in (sidecar_path(folder, shard) for shard in shards) if exists(path))
    while not found.issuperset(wanted) and (path := next(there, None)) is not None:
        found.update(kind for row in read_sidecar(path).rows() for kind in scanned_kinds(row["scans"]))
    for kind in wanted:
        if kind not in found:
            where = f"kinds ('{folder}')"
            raise InputError(expected(where, "kinds that were looked for", f"'{kind}'", did_you_mean(kind, found)))
