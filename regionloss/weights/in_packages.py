"""A weight file that an installed package already brought. The package is looked at, never imported."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from regionloss.hooks.records import WeightRecord
from regionloss.weights.cache import is_meant
from regionloss.weights.sources import read_source


def installed_file(record: WeightRecord) -> Path | None:
    """Return the file inside an installed pip package; None where it is absent, or is of another hash.

    Another version of the package serves as well, as long as the file is the same. One that is tried where it lies
    (`pip install -e`, `as_installed`) has its metadata in another place than its files: there its module is asked.
    """
    source = read_source(record.source)
    if source.package is None or source.package.index != "pip":
        return None
    try:
        distribution = metadata.distribution(source.package.name)
    except metadata.PackageNotFoundError:
        return None
    places = [Path(str(distribution.locate_file(source.member))), *_beside_module(source.member)]
    return next((file for file in places if file.is_file() and is_meant(record, file)), None)


def _beside_module(member: str) -> Iterator[Path]:
    """Yield where a file of a package lies if the package is found by its name."""
    package, _, inside = member.partition("/")
    if not inside or not package.isidentifier():  # a dotted name would be imported
        return
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return
    for folder in (spec and spec.submodule_search_locations) or ():
        yield Path(folder) / inside


def of_its_own(record: WeightRecord) -> str:
    """Return where a file lies in the plugin's own package; empty if it is to come from elsewhere."""
    source = read_source(record.source)
    if source.package is None or source.package.index != "pip":
        return ""
    names = {re.sub(r"[-_.]+", "-", name).lower() for name in (source.package.name, record.distribution)}
    return source.member if len(names) == 1 else ""
