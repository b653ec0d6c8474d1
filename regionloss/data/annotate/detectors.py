"""Names of detectors on a command line -> detectors, and what a side-car says about each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from regionloss.data.sidecars.sidecar import Scan
from regionloss.detectors.base import Detector
from regionloss.errors import InputError, expected
from regionloss.hooks.catalogue import Catalogue, build_catalogue, catalogue
from regionloss.hooks.detector_names import stands_for
from regionloss.hooks.options import defaults_of


@dataclass(frozen=True)
class NamedDetector:
    """A detector by its canonical name, with options of its constructor."""

    name: str
    options: Mapping[str, object] = field(default_factory=dict)


def known(plugins: Sequence[str] = ()) -> Catalogue:
    """Return the catalogue of the installed plugins, and of plugin files."""
    return build_catalogue(files=[Path(file) for file in plugins]) if plugins else catalogue()


def resolve(
    names: Sequence[str], options: Mapping[str, Mapping[str, object]] | None = None, plugins: Sequence[str] = ()
) -> list[NamedDetector]:
    """Return the detectors that names stand for.

    Args:
        names: Names of detectors (`face/mtcnn`), or of terms, which stand for the detector that annotates for them
            (`text`).
        options: Options by name, as the names are given.
        plugins: Files of plugins, beside those that are installed.

    Raises:
        InputError: No names, options for a name that is not among them, or one detector twice.
        UnknownNameError: No detector and no term has this name.
    """
    found, given, where = [], options or {}, known(plugins)
    for name in names:
        detector, preset = stands_for(name, where)
        found.append(NamedDetector(detector, {**preset, **given.get(name, {})}))
    if not names:
        raise InputError(expected("--detectors", "names such as text,face", "none"))
    if unused := sorted(set(given) - set(names)):
        raise InputError(expected("--option", f"an option of {', '.join(names)}", f"one of '{unused[0]}'"))
    twice = [one.name for number, one in enumerate(found) if one.name in [other.name for other in found[:number]]]
    if twice:
        raise InputError(expected("--detectors", "each detector once", f"'{twice[0]}' twice"))
    return found


def scan_of(named: NamedDetector, detector: Detector, max_side: int, where: Catalogue) -> Scan:
    """Return what a side-car says about a detector: change any of it, and images are looked at anew.

    Args:
        named: Its canonical name, and the options that it was given.
        detector: Detector that was built from this name and these options.
        max_side: Longest side at which it is shown images, pixels.
        where: The catalogue that it was built from.
    """
    options = {**defaults_of(where.load("detector", named.name)), **named.options}
    text = json.dumps({**options, "max_side": max_side}, sort_keys=True, default=str)
    version = str(getattr(detector, "version", ""))
    return Scan(named.name, version, weights_hash(named.name, options, where), text, detector.kind)


def weights_hash(name: str, options: Mapping[str, Any], where: Catalogue) -> str:
    """Return the sha256 of a detector's weight file; of several, that of their hashes; empty where it has none."""
    component = where.find("detector", name)
    records = {record.name: record for record in where.weights()} | {r.canonical: r for r in where.weights()}
    chosen = [str(value) for value in options.values() if isinstance(value, str | Path)]
    hashes = [found for value in chosen if (found := hash_of(value, records))]
    if not hashes:
        hashes = [found for value in component.weights if (found := hash_of(value, records))]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest() if hashes else ""


def hash_of(value: str, records: Mapping[str, Any]) -> str:
    """Return the sha256 of a weight file, named or by its path; empty where it is neither."""
    from regionloss.weights import locate

    if value in records and records[value].sha256:
        return str(records[value].sha256)
    file = locate(records[value]) if value in records else Path(value).expanduser()
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
