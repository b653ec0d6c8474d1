"""Side-cars: what detectors found in a shard of images, one Parquet file beside it, joined by the images' keys.

Scanned and nothing found is a row with an empty list of regions; never scanned is no row.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from regionloss.data.shards.addresses import unsigned
from regionloss.data.shards.atomic import write_whole
from regionloss.data.shards.keys import normal
from regionloss.data.shards.paths import file_system
from regionloss.data.sidecars.schema import check_table, schema
from regionloss.errors import InputError, expected

if TYPE_CHECKING:
    import pyarrow as pa

SIDECAR_VERSION = 1
SUFFIX, STATS_SUFFIX = ".regions.parquet", ".stats.json"
SHARD_SUFFIXES = (".tar.gz", ".tgz", ".tar", ".parquet")
VERSION_KEY, BOOK_KEY = b"regionloss.sidecar", b"regionloss.shard"
AGAIN = "Annotate again: what detectors found is made anew, and this file is kept under another name."
Row = dict[str, Any]


class DamagedError(InputError):
    """A side-car is cut off, no Parquet file at all, or holds what no side-car can hold."""


@dataclass(frozen=True)
class Scan:
    """That a detector looked at an image.

    Args:
        detector: Name of the detector, `plugin/name`; of imported regions the name of the format.
        version: The detector's own statement of what it is.
        weights: Hash of its weight files; empty where it has none of its own.
        options: Options of its constructor, thresholds among them, and how it was shown the images; JSON.
        kind: Kind of region that was looked for, several with commas between: an image without regions of this kind has
            none.
    """

    detector: str
    version: str = ""
    weights: str = ""
    options: str = "{}"
    kind: str = ""


class Book(NamedTuple):
    """What a side-car says about its shard; see `Sidecar`."""

    scans: tuple[Scan, ...]
    shard: str
    files: Mapping[str, str]
    rule: str


@dataclass(frozen=True, eq=False)
class Sidecar:
    """The rows of a shard.

    Args:
        table: Table of the side-car's schema, a row for each image.
        scans: Looked at every image of the shard that can be read.
        shard: What tells that the shard itself has changed; empty where nobody knows.
        files: The same of each file, by key, where the shard is a folder.
        rule: Up to which dot of a member's name keys reach (see `keys`); empty for a folder, or where nobody knows.
    """

    table: pa.Table
    scans: tuple[Scan, ...] = ()
    shard: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    rule: str = ""

    @classmethod
    def of(
        cls,
        rows: Iterable[Row],
        scans: Sequence[Scan] = (),
        shard: str = "",
        files: Mapping[str, str] | None = None,
        rule: str = "",
    ) -> Sidecar:
        """Build a side-car of rows (see `docs/reference/side-car.md`).

        Raises:
            InputError: Rows that do not fit the schema, or two of one key.
        """
        import pyarrow as pa

        try:
            table = pa.Table.from_pylist(list(rows), schema=schema())
        except (pa.ArrowException, TypeError, KeyError, ValueError) as error:
            raise InputError(expected("side-car", "rows of its schema", str(error).rstrip("."))) from error
        sidecar = cls(table, tuple(scans), shard, dict(files or {}), rule)
        _ = sidecar.places
        return sidecar

    @functools.cached_property
    def places(self) -> dict[str, int]:
        """Row of each key."""
        keys = self.table.column("key").to_pylist()
        places = {key: place for place, key in enumerate(keys)}
        if len(places) != len(keys):
            twice = next(key for place, key in enumerate(keys) if places[key] != place)
            raise InputError(expected("side-car", "one row an image", f"two of the key '{twice}'"))
        return places

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __contains__(self, key: object) -> bool:
        return key in self.places

    def __getitem__(self, key: str) -> Row:
        return whole(self.table.slice(self.places[key], 1).to_pylist()[0])

    def rows(self) -> Iterator[Row]:
        """Yield the rows, in order."""
        for batch in self.table.to_batches(max_chunksize=1024):
            yield from map(whole, batch.to_pylist())


def new_row(key: str, size: tuple[int, int]) -> Row:
    """Return the row of an image of `size` (width, height) that nobody has looked at."""
    return {"key": key, "width": size[0], "height": size[1], "scans": [], "regions": []}


def sides(row: Row) -> tuple[int, int]:
    """Return the `(width, height)` that a row gives its image."""
    return row["width"], row["height"]


def whole(row: Row) -> Row:
    """Return a row whose lists are there: what another program wrote as null is an empty list."""
    return row | {name: row[name] or [] for name in ("scans", "regions")}


def sidecar_path(folder: str, shard: str) -> str:
    """Return where the side-car of a shard is.

    Args:
        folder: Folder of the side-cars; empty where they lie beside their shards.
        shard: Path or address of a tar file or of a folder of images.

    Example:
        >>> sidecar_path("regions", "laion/00000.tar")
        'regions/00000.regions.parquet'
        >>> sidecar_path("regions", "https://bucket/00000.tar?X-Amz-Signature=5e7a")
        'regions/00000.regions.parquet'
    """
    whole = unsigned(shard).replace(os.sep, "/").rstrip("/")
    if whole.rpartition("/")[2] in ("", ".", "..") and "://" not in whole:
        whole = os.path.abspath(shard).replace(os.sep, "/")
    above, slash, name = whole.rpartition("/")
    stem = next((name.removesuffix(suffix) for suffix in SHARD_SUFFIXES if name.endswith(suffix)), name)
    place = f"{folder.rstrip('/')}/" if folder else f"{above}{slash}"
    return f"{place}{stem or 'images'}{SUFFIX}"


def stats_path(sidecar: str) -> str:
    """Return where the counts of a side-car's shard are."""
    return sidecar.removesuffix(SUFFIX) + STATS_SUFFIX


def read_sidecar(path: str) -> Sidecar:
    """Read a side-car, local or at an address that fsspec opens.

    Raises:
        FileNotFoundError: There is none.
        DamagedError: Cut off, or with values that mean nothing.
        InputError: Not a side-car, or of a version that is not known here; names the file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    system, inner = file_system(str(path))
    contents = system.cat_file(inner)
    try:
        # Threads of the reader that still run when Python ends abort the process.
        with pq.ParquetFile(pa.BufferReader(contents), pre_buffer=False, page_checksum_verification=True) as opened:
            table = with_normal_keys(opened.read(use_threads=False))
        book = book_of(path, table.schema)
        check_table(table)
        table = table.cast(schema())
    except InputError:
        raise
    except Exception as error:  # Of a damaged file its readers raise what they like.
        raise damaged(path, error) from error
    return Sidecar(table.replace_schema_metadata(None), *book)


def with_normal_keys(table: pa.Table) -> pa.Table:
    """Return a table with keys as they are compared, whoever wrote it."""
    import pyarrow as pa

    place = table.schema.get_field_index("key")
    if place < 0 or not pa.types.is_string(table.schema.field(place).type):
        return table  # of another schema, which is said where it is compared
    keys = pa.array(normal(table.column(place).to_pylist()), pa.string())
    return table.set_column(place, table.schema.field(place), keys)


def read_book(path: str) -> Book:
    """Return what a side-car says about its shard, without reading its rows.

    Raises:
        FileNotFoundError: There is none.
        InputError: As `read_sidecar` does.
    """
    import pyarrow.parquet as pq

    system, inner = file_system(str(path))
    try:
        with system.open(inner, "rb") as handle:
            return book_of(path, pq.read_schema(handle))
    except (FileNotFoundError, InputError):
        raise
    except Exception as error:  # Of a damaged file its readers raise what they like.
        raise damaged(path, error) from error


def damaged(path: str, error: Exception) -> DamagedError:
    """Return the error of a side-car that cannot be read."""
    reason = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
    return DamagedError(expected(path, "a side-car of regions", f"a file that cannot be read ({reason})", AGAIN))


def scanned_kinds(scans: Iterable[Mapping[str, str]]) -> list[str]:
    """Return the kinds that the scans of a row looked for, sorted."""
    return sorted({kind for scan in scans for kind in scan["kind"].split(",") if kind})


def book_of(path: str, found: pa.Schema) -> Book:
    """Return what a side-car says about its shard, when its version and its columns are ours."""
    notes = found.metadata or {}
    version = notes.get(VERSION_KEY, b"").decode()
    ours = any(found.equals(schema(stored), check_metadata=False) for stored in (True, False))
    if not version.isdigit() and (version or ours or BOOK_KEY in notes):
        raise ValueError("its metadata do not say what it is")
    if version != str(SIDECAR_VERSION):
        advice = "A newer regionloss wrote it: update." if version.isdigit() else "Import regions: regions import."
        got = f"version {version}" if version else "a Parquet file that is none"
        raise InputError(expected(path, f"a side-car of regions, version {SIDECAR_VERSION}", got, advice))
    if not ours:
        got = f"the columns {', '.join(found.names)}"
        raise DamagedError(expected(path, f"the schema of version {SIDECAR_VERSION}", got, "See side-car.md."))
    book = json.loads(notes.get(BOOK_KEY, b"{}"))
    scans = tuple(Scan(**scan) for scan in book.get("scans", ()))
    shard, files, rule = book.get("shard", ""), book.get("files", {}), book.get("keys", "")
    texts = [shard, rule, *files.values(), *(value for scan in scans for value in asdict(scan).values())]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("its metadata hold something else than text")
    return Book(scans, shard, dict(zip(normal(list(files)), files.values(), strict=True)), rule)


def write_sidecar(path: str, sidecar: Sidecar) -> None:
    """Write a side-car under a temporary name and rename it: it is there whole, or not at all.

    Args:
        path: Local, or an address that fsspec opens; ends in `.regions.parquet`.
        sidecar: The side-car to write.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    scans, files = [asdict(scan) for scan in sidecar.scans], dict(sidecar.files)
    book = {"scans": scans, "shard": sidecar.shard, "files": files, "keys": sidecar.rule}
    notes = {VERSION_KEY: str(SIDECAR_VERSION), BOOK_KEY: json.dumps(book, sort_keys=True)}
    buffer = pa.BufferOutputStream()
    table = sidecar.table.cast(schema(stored=True)).replace_schema_metadata(notes)
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    write_whole(str(path), buffer.getvalue().to_pybytes())


def with_scan(row: Row, scan: Scan, found: Sequence[Row]) -> Row:
    """Return a row in which a detector's earlier scan and regions are replaced; those of others stay."""
    rest = without_detector(row, scan.detector)
    # By name, so that the order in which detectors came does not show.
    scans = sorted([*rest["scans"], asdict(scan)], key=lambda s: str(s["detector"]))
    return rest | {"scans": scans, "regions": sorted([*rest["regions"], *found], key=lambda r: str(r["detector"]))}


def without_detector(row: Row, name: str) -> Row:
    """Return a row without a detector's scan and regions."""
    scans = [scan for scan in row["scans"] if scan["detector"] != name]
    return row | {"scans": scans, "regions": [region for region in row["regions"] if region["detector"] != name]}
