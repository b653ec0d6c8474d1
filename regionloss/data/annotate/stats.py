"""What is worth telling about a shard, written beside its side-car; and read again when more is added."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import asdict
from typing import Any

from regionloss.data.annotate.job import Job
from regionloss.data.images.files import ALLOW_MORE
from regionloss.data.shards.atomic import write_whole
from regionloss.data.shards.keys import key_of
from regionloss.data.shards.omissions import REASONS
from regionloss.data.shards.paths import file_system
from regionloss.data.shards.shards import Shard
from regionloss.data.shards.source import OpenShard, place_of
from regionloss.data.sidecars.sidecar import SIDECAR_VERSION, Row, Sidecar, stats_path

#: Reasons: a detector raised an error; it found regions outside the image; regions were there of another shape.
REFUSED, OUTSIDE, RESHAPED = "not looked at", "regions outside", "another shape"
#: What is said then is a line for each detector, and begins with its name.
BY_DETECTOR = (REFUSED, OUTSIDE)
#: Reason -> key -> what there is to say; empty where the reason says it all.
Names = dict[str, dict[str, str]]


def counts(rows: Iterable[Row], detectors: Collection[str] | None = None) -> dict[str, int]:
    """Return the number of regions of each kind; of some detectors alone, where they are named."""
    regions = (region for row in rows for region in row["regions"])
    return dict(Counter(r["kind"] for r in regions if detectors is None or r["detector"] in detectors))


def write_stats(job: Job, source: OpenShard, sidecar: Sidecar, names: Names) -> None:
    """Write the stats of a shard; they are the same whenever and however it is annotated."""
    found = {reason: dict(sorted(named.items())) for reason, named in sorted(names.items()) if named}
    found |= left_out(source.shard)
    stats = {
        "version": SIDECAR_VERSION,
        "shard": place_of(job.shard),
        "images": len(source.shard.keys()),
        "rows": len(sidecar),
        "regions": dict(sorted(counts(sidecar.rows()).items())),
        "scans": [asdict(scan) for scan in sidecar.scans],
        "keys": source.shard.head.rule,
        "problem": source.shard.head.problem.replace(source.shard.path, job.shard),
        "other_files": source.others,
        "counts": {reason: len(named) for reason, named in found.items()} | source.shard.head.counts,
        "named": found,
    }
    # A path that is not UTF-8 is spelled as JSON spells it.
    text = json.dumps(stats, indent=1, ensure_ascii=False) + "\n"
    write_whole(stats_path(job.target), text.encode("utf-8", "backslashreplace"))


def left_out(shard: Shard) -> Names:
    """Return what reading a shard left out: reason -> key -> names."""
    found: Names = defaultdict(dict)
    for reason, names in shard.left.items():
        for name in names:
            key = key_of(name, shard.head.rule) if shard.head.rule else name
            found[reason][key] = f"{found[reason].get(key, 'Not used:')} '{name}'"
    return found


def read_stats(sidecar: str) -> dict[str, Any]:
    """Return the stats beside a side-car; empty where there are none that can be read."""
    system, inner = file_system(stats_path(sidecar))
    try:
        found = json.loads(system.cat_file(inner))
        named = found.get("named", {}).values()
        texts = [why for keys in named for why in keys.values()]
        sound = all(isinstance(text, str) for text in texts) and isinstance(found.get("counts", {}), dict)
    except (OSError, ValueError, AttributeError, RecursionError):
        return {}
    return found if sound else {}


def has_too_large(sidecar: str) -> bool:
    """Whether the stats beside a side-car name images that had too many pixels."""
    return any(ALLOW_MORE in why for why in read_stats(sidecar).get("named", {}).get("unreadable", {}).values())


def hid_images(sidecar: str) -> bool:
    """Whether the stats beside a side-car say that images hid one another."""
    return bool(read_stats(sidecar).get("counts", {}).get("hidden"))


def other_shard(job: Job, source: OpenShard, known: Sidecar) -> str:
    """Return the shard whose side-car is in the way: another one of the same name. Empty where there is none.

    A shard that has changed is at its old place; one that was moved has not changed.
    """
    recorded = str(read_stats(job.target).get("shard", ""))
    if not recorded or place_of(recorded) == place_of(job.shard):
        return ""
    if known.files:
        return "" if known.files.items() & source.marks.items() else recorded
    return "" if known.shard in ("", source.mark) else recorded


def kept_names(sidecar: str, kept: Iterable[str], again: Iterable[str], detectors: Iterable[str]) -> Names:
    """Return what earlier stats name and still holds.

    Args:
        sidecar: Side-car that the stats lie beside.
        kept: Keys of images that are not looked at again.
        again: Keys of those that are: what other detectors could not look at is still not looked at.
        detectors: Detectors that look in this run.
    """
    found, wanted, others, own = defaultdict[str, dict[str, str]](dict), set(kept), set(again), set(detectors)
    for reason, named in read_stats(sidecar).get("named", {}).items():
        for key, why in named.items():
            theirs = [one for one in why.splitlines() if one.partition(" ")[0].rstrip(":") not in own]
            if reason not in REASONS and key in wanted:
                found[reason][key] = why
            elif key in others and (theirs if reason in BY_DETECTOR else reason == RESHAPED):
                found[reason][key] = "\n".join(theirs)
    return found


def add_names(names: Names, more: Names) -> None:
    """Add what is named to what is named already; of one image several detectors may have something to say."""
    for reason, named in more.items():
        for key, why in named.items():
            lines = [*names[reason].get(key, "").splitlines(), *why.splitlines()]
            names[reason][key] = "\n".join(dict.fromkeys(lines))
