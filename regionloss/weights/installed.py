"""A weight file that an installed package already brought. The package is looked at, never imported."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from ..hooks.records import WeightRecord
from .cache import is_meant
from .sources import read_source


def installed_file(record: WeightRecord) -> Path | None:
    """Return the file inside an installed pip package; None where it is absent, or is of another hash.

    Another version of the package serves as well, as long as the file is the same.
    """
    source = read_source(record.source)
    if source.package is None or source.package.index != "pip":
        return None
    try:
        distribution = metadata.distribution(source.package.name)
    except metadata.PackageNotFoundError:
        return None
    file = Path(str(distribution.locate_file(source.member)))
    return file if file.is_file() and is_meant(record, file) else None
