"""Side-cars joined to the images of shards, by key: rows of a Parquet file -> regions in an image's pixels."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import MappingProxyType
from typing import Any

from regionloss.data.shards.keys import LAST
from regionloss.data.shards.paths import exists, is_local
from regionloss.data.shards.tar_index import Head, mark_of
from regionloss.data.sidecars.entries import Joined, Rows
from regionloss.data.sidecars.sidecar import read_book, read_sidecar, scanned_kinds, sidecar_path
from regionloss.errors import InputError, did_you_mean, expected

MOST_OPEN, THREADS = 8, 16


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
    with ThreadPoolExecutor(THREADS) as pool:
        present = pool.map(exists, [sidecar_path(folder, shard) for shard in shards])
        missing = [shard for shard, there in zip(shards, present, strict=True) if not there]
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
