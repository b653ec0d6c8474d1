"""Columns that users have beside their images: labels from which groups are made."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from regionloss.errors import InputError, expected, reason_of

KEY, NUMBER, OWNER = "key", "number", "owner"
NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class Columns:
    """Values by column, of images by their names, and of single instances by their number in the image.

    Args:
        rows: Values by `(key, number)`; a number of None is about the image.
        identity: Hash of the file that they come from.
        path: Path of the file, as errors name it.
        owners: What images were cut from, by their names: intervals draw such images together.
    """

    rows: Mapping[tuple[str, int | None], Mapping[str, str]] = field(default_factory=dict)
    identity: str = ""
    path: str = ""
    owners: Mapping[str, str] = field(default_factory=dict)

    def notes(self, names: Collection[str]) -> list[str]:
        """Return sentences on the rows that are about none of the images of these names.

        Raises:
            InputError: No row is about one of them.
        """
        other = list(dict.fromkeys(key for key, _ in self.rows if key not in names))
        if not other:
            return []
        examples = ", ".join(map(repr, other[:3]))
        if len(other) == len({key for key, _ in self.rows}):
            wanted = f"names of images as '{KEY}', such as {min(names, default='photo.png')!r}"
            raise InputError(expected(self.path, wanted, examples, "They are written with their folder and suffix."))
        return [f"{self.path}: {len(other)} of the names are of no image: {examples}{', ...' if other[3:] else ''}"]

    def of(self, key: str, number: int | None = None) -> Mapping[str, str]:
        """Return the values of an image, or of an instance of it."""
        return self.rows.get((key, number), NOTHING)


def read_columns(path: Path) -> Columns:
    """Read a CSV or Parquet file: `key` names images; `number` instances, and `owner` what an image was cut from, where
    these are there; all others are columns, whose values are taken as words.

    Raises:
        InputError: It cannot be read, or has no column `key`.
    """
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    read = pyarrow.parquet.read_table if path.suffix == ".parquet" else pyarrow.csv.read_csv
    try:
        contents = path.read_bytes()
        table = read(pa.BufferReader(contents))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(expected(str(path), "a CSV or Parquet file", reason_of(error))) from error
    if KEY not in table.column_names:
        advice = "It names the images that the other columns are about."
        raise InputError(expected(str(path), f"a column '{KEY}'", ", ".join(table.column_names), advice))
    rows: dict[tuple[str, int | None], dict[str, str]] = {}
    owners: dict[str, str] = {}
    for row in table.to_pylist():
        key, number, owner = str(row.pop(KEY)), row.pop(NUMBER, None), row.pop(OWNER, None)
        owners |= {} if owner is None else {key: str(owner)}
        words = {name: str(value) for name, value in row.items() if value is not None}
        rows[key, None if number is None else whole_number(path, number)] = words
    return Columns(rows, hashlib.sha256(contents).hexdigest(), str(path), owners)


def whole_number(path: Path, value: object) -> int:
    """Return the number of an instance. Raises InputError for anything else."""
    try:
        number = int(str(value))
    except ValueError:
        raise InputError(expected(f"{path}: {NUMBER}", "whole numbers, from 0", repr(value))) from None
    return number
