"""The cache of weight files: where it is, what a file's hash is, whether it is the one that was meant."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from pathlib import Path

from regionloss.disk import home
from regionloss.errors import WeightsError, expected
from regionloss.hooks.records import WeightRecord

#: Hosts that write the first digits of a hash into names of files.
_NAMED = re.compile(r"https://download\.(?:pytorch\.org|openmmlab\.com)/.*-([0-9a-f]{8})\.pth")


def folder() -> Path:
    """Return the folder of the weight files, which may not exist yet."""
    return home() / "weights"


def cache_path(record: WeightRecord) -> Path:
    """Return where the cache keeps a file, whether or not it is there."""
    return folder() / record.filename


def converted_path(file: Path) -> Path:
    """Return where `regionloss weights convert` puts what it read from a file."""
    return file.with_suffix(".safetensors")


def sha256_of(file: Path) -> str:
    """Return a file's sha256, remembered in this process for as long as its size and time of change stay."""
    state = file.stat()
    return _sha256(file, state.st_size, state.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _sha256(file: Path, size: int, changed: int) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def short(sha256: str) -> str:
    """Return the beginning of a hash, for sentences."""
    return f"{sha256[:8]}..."


def hash_of(record: WeightRecord) -> str:
    """Return the sha256 that a record's file has, or how it begins (hosts that write that into names), or nothing."""
    named = _NAMED.fullmatch(record.source)
    return record.sha256.lower() or (named[1] if named else "")


def is_meant(record: WeightRecord, file: Path) -> bool:
    """Whether a file is the one that a record means: of its hash, or converted from a file of its hash.

    A record without a hash (no copy could be had to take it from) takes any file, but one of another hash than its
    name says.
    """
    wanted = hash_of(record)
    if sha256_of(file).startswith(wanted):
        return True
    return record.needs_conversion and origin_of(file).startswith(wanted)


def check(record: WeightRecord, file: Path) -> Path:
    """Return the file if it is the one that a record means.

    Raises:
        WeightsError: It has another hash.
    """
    advice = f"Delete the file and run 'regionloss weights fetch {record.name}'."
    return refuse(record, file, f"weights '{record.name}' at {file}", advice)


def refuse(record: WeightRecord, file: Path, where: str, advice: str) -> Path:
    """Raise a WeightsError with this place and advice if a file is not the one that a record means."""
    if is_meant(record, file):
        return file
    raise WeightsError(expected(where, f"sha256 {short(hash_of(record))}", short(sha256_of(file)), advice))


def origin_of(file: Path) -> str:
    """Return the sha256 of the file that a safetensors file was converted from; empty where it says none."""
    if file.suffix != ".safetensors":
        return ""
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > 100_000_000:  # the format's own limit; a larger number means another kind of file
            return ""
        try:
            return str(json.loads(stream.read(length))["__metadata__"]["source_sha256"])
        except (ValueError, LookupError, TypeError, RecursionError):
            return ""
