"""A job under way: what an earlier run found is taken over, the rest is still to be looked at."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from regionloss.data.annotate.decode import Picture
from regionloss.data.annotate.job import Job
from regionloss.data.annotate.stats import RESHAPED, Names, add_names, hid_images, kept_names, other_shard
from regionloss.data.shards.keys import same_rule
from regionloss.data.shards.source import OpenShard
from regionloss.data.sidecars.entries import same_aspect
from regionloss.data.sidecars.recovery import keep_copy, known_sidecar
from regionloss.data.sidecars.sidecar import Row, Scan, Sidecar, new_row, sides, with_scan
from regionloss.errors import InputError, expected

#: Options of a scan that no detector made: they tell at least how it was shown the images.
IMPORTED = "{}"


@dataclass(eq=False)
class Work:
    """A job under way.

    Args:
        job: The job that is worked on.
        source: The job's shard, opened; None where it cannot be.
        rows: What is known of the shard's images, by key.
        scans: Scans of an earlier run that looked at all of the shard's images.
        known: The side-car that was there when the job began.
        missing: Numbers of the detectors that have not looked at an image, by the image's number in the shard.
        names: Images that the stats name, by reason.
        refused: Images that a detector of this run could not look at, by key.
        lost: Images that could not be read or decoded, and not, or not surely, by their own fault, by key.
        failed: Why nothing can be written.
        damage: Why the side-car that was there cannot be read.
        started: Time at which the job was begun, in seconds.
    """

    job: Job
    source: OpenShard | None = None
    rows: dict[str, Row] = field(default_factory=dict)
    scans: tuple[Scan, ...] = ()
    known: Any = None
    missing: dict[int, tuple[int, ...]] = field(default_factory=dict)
    names: Names = field(default_factory=lambda: defaultdict(dict))
    refused: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    failed: str = ""
    damage: str = ""
    started: float = field(default_factory=time.monotonic)


def recall(work: Work, source: OpenShard, own: Sequence[Scan]) -> None:
    """Take over what earlier runs found, and note which detectors have not looked at which images yet.

    Raises:
        InputError: The side-car is that of another shard.
    """
    keys, known = source.shard.keys(), earlier(work, source)
    work.known = known.table
    if is_same(work.job, source, known):
        marks = {**source.marks, **known.files}
        same = [key for key in keys if key in known and marks.get(key) == source.marks.get(key)]
        work.rows, work.scans = {key: known[key] for key in same}, known.scans
    for key in keys:
        if key in known and key not in work.rows and (row := imported(known[key])):
            work.rows[key] = row
    for number, key in enumerate(keys):
        scans = work.rows[key]["scans"] if key in work.rows else ()
        missing = tuple(i for i, scan in enumerate(own) if asdict(scan) not in scans)
        if missing:
            work.missing[number] = missing
    again = {keys[number] for number in work.missing}
    work.names.update(kept_names(work.job.target, set(work.rows) - again, again, [scan.detector for scan in own]))


def is_same(job: Job, source: OpenShard, known: Sidecar) -> bool:
    """Whether a side-car is of a shard as it is now, and by the names that its images have now."""
    if known.shard not in ("", source.mark):  # imported regions do not know of what they are
        return False
    return same_rule(known.rule, source.shard.head.rule) and bool(known.rule or not hid_images(job.target))


def earlier(work: Work, source: OpenShard) -> Sidecar:
    """Return what is at a job's target; an empty side-car where there is none that can be read."""
    job = work.job
    known, work.damage = known_sidecar(job.target)
    if other := other_shard(job, source, known):
        advice = "Say another --out, or remove the side-car."
        raise InputError(expected(job.target, f"the side-car of {job.shard}", f"that of {other}", advice))
    return known


def join_others(work: Work, source: OpenShard, own: Sequence[Scan]) -> None:
    """Add what others have found since this run began: each writes its own detectors' findings, and keeps the others'.

    Raises:
        InputError: The side-car is that of another shard by now.
    """
    known = earlier(work, source)
    if work.damage:
        # What was imported into it, nobody could find again.
        told = f"What these detectors find is made anew; the damaged file is kept as {keep_copy(work.job.target)}."
        work.damage += f". {told} Regions of other detectors, and imported ones, are in it alone: bring them in again."
    if known.shard not in ("", source.mark) or known.table.equals(work.known):
        return
    names, marks = {scan.detector for scan in own}, {**source.marks, **known.files}
    keys = source.shard.keys()
    same = [key for key in keys if key in known and marks.get(key) == source.marks.get(key)]
    for key in same:
        other = known[key]
        row = work.rows.get(key, other | {"scans": [], "regions": []})
        if same_aspect(sides(row), sides(other)):
            for scan in (scan for scan in other["scans"] if scan["detector"] not in names):
                found = [region for region in other["regions"] if region["detector"] == scan["detector"]]
                row = with_scan(row, Scan(**scan), found)
            work.rows[key] = row
    work.scans = (*work.scans, *(scan for scan in known.scans if scan.detector not in names))
    add_names(work.names, kept_names(work.job.target, (), same, names))


def imported(row: Row) -> Row | None:
    """Return a row with what was imported alone; None where nothing was.

    Nobody could find it again: it is kept when the file has changed, as long as the image has its shape.
    """
    scans = [scan for scan in row["scans"] if scan["options"] == IMPORTED]
    names = {scan["detector"] for scan in scans}
    regions = [region for region in row["regions"] if region["detector"] in names]
    return row | {"scans": scans, "regions": regions} if scans else None


def row_of(work: Work, picture: Picture) -> Row:
    """Return the row of an image that is looked at: a new one where there is none, or the image has another shape."""
    row = work.rows.get(picture.key)
    if row is not None and same_aspect(sides(row), picture.size):
        return row | dict(zip(("width", "height"), picture.size, strict=True))
    if row is not None and row["regions"]:
        told = f"{len(row['regions'])} regions of an image of {row['height']} x {row['width']} are left out."
        work.names[RESHAPED][picture.key] = told
    return new_row(picture.key, picture.size)
