"""img2dataset: a Parquet file of metadata with a column of boxes, relative `x1, y1, x2, y2`, for each image."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...errors import InputError, expected
from ..sidecars import Row, Scan
from .rows import Imported, fields_of, read_file

COLUMN = "bbox"


def read_img2dataset(path: str, kind: str, column: str = COLUMN) -> Imported:
    """Read the boxes of a shard's metadata, `00000.parquet`, as img2dataset writes it beside `00000.tar`.

    Args:
        path: Parquet file with the columns `key`, `width`, `height` and the boxes; `status` is respected.
        kind: Of the regions: img2dataset does not say.
        column: Of the boxes (`bbox_col`), relative to the image.

    Raises:
        InputError: Not such a file.
    """
    table = read_parquet(path)
    needed = {"key", "width", "height", column}
    if missing := sorted(needed - set(table.column_names)):
        got = f"no {', '.join(missing)}; there are {', '.join(table.column_names)}"
        raise InputError(expected(path, "the columns of img2dataset with boxes", got, "Name them with --column."))
    imported = Imported([Scan("img2dataset", kind=kind)])
    chosen = [name for name in table.column_names if name in needed or name == "status"]
    for one in table.select(chosen).to_pylist():
        if one.get("status", "success") != "success" or one["width"] is None or one[column] is None:
            imported.dropped["images without success, size or boxes"] += 1
            continue
        with fields_of(path, "img2dataset"):
            row = imported.image(str(one["key"]), int(one["width"]), int(one["height"]))
            for box in one[column]:
                sides = (row["width"], row["height"])
                imported.add(row, kind, [value * sides[i % 2] for i, value in enumerate(box)])
    return imported


def read_parquet(path: str) -> Any:
    """Read a Parquet file, local or not."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    contents = read_file(path)
    try:
        # Threads of the reader that still run when Python ends abort the process.
        return pq.ParquetFile(pa.BufferReader(contents), pre_buffer=False).read(use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise InputError(expected(path, "a Parquet file", f"something else ({error})")) from error


def write_img2dataset(path: str, rows: Iterable[Row], kind: str, column: str = COLUMN) -> int:
    """Write the boxes of one kind as a Parquet file with `key`, `width`, `height` and boxes; return their number."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from ..writing import write_whole

    records = [
        {name: row[name] for name in ("key", "width", "height")}
        | {column: [region["box"] for region in row["regions"] if region["kind"] == kind]}
        for row in rows
    ]
    number = pa.list_(pa.list_(pa.float32()))
    columns = [("key", pa.string()), ("width", pa.int32()), ("height", pa.int32()), (column, number)]
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(records, schema=pa.schema(columns)), buffer)
    write_whole(path, buffer.getvalue().to_pybytes())
    return sum(len(record[column]) for record in records)
