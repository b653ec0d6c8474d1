"""How `regionloss weights` words what it knows of a file."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from regionloss.hooks.records import WeightRecord
from regionloss.weights.cache import cache_path, hash_of, is_meant
from regionloss.weights.locate import find
from regionloss.weights.sources import read_source


def megabytes(size: int) -> str:
    """Return a size in words; `?` where it is unknown."""
    if not size:
        return "?"
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


def source_text(record: WeightRecord) -> str:
    """Return in a few words where a file comes from, and whether that could be tried."""
    source = read_source(record.source)
    if source.package is not None:
        return f"{source.package.index} {source.package.name} {source.package.version}"
    return f"{urlsplit(source.address).hostname} (untried)" if source.untried else "only you can bring it"


def details_of(record: WeightRecord) -> list[tuple[str, str]]:
    """Return all that is known of a file, as lines of a label and a text."""
    file = find(record)
    return [
        ("name", record.canonical),
        ("summary", record.summary),
        ("licence", record.licence),
        ("file", record.filename),
        ("size", f"{record.size} bytes" if record.size else "unknown"),
        ("sha256", record.sha256 or "none registered: no copy could be had to take it from"),
        ("source", record.source + (" (untried)" if read_source(record.source).untried else "")),
        ("here", state_of(record) + (f": {file}" if file else "")),
        ("from", f"{record.distribution} {record.version}"),
    ]


def state_of(record: WeightRecord) -> str:
    """Return whether a file is here, judged by its name and size."""
    file = find(record)
    if file is None:
        return "no"
    if file not in (cache_path(record), cache_path(record).with_suffix(".safetensors")):
        return "in an installed package"
    if file == cache_path(record):
        if record.size and file.stat().st_size != record.size:
            return "wrong size"
        return "yes, to be converted" if record.needs_conversion else "yes"
    return "yes, converted"


def verdict_of(record: WeightRecord, file: Path) -> tuple[bool, str]:
    """Return whether a file is good, and a word for it."""
    if not is_meant(record, file):
        return False, f"wrong hash, expected {hash_of(record)}, got"
    return True, "ok" if record.sha256 else "no hash registered"
