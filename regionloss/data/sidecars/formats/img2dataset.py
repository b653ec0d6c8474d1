"""img2dataset: a Parquet file of metadata with a column of boxes, relative `x1, y1, x2, y2`, for each image."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from regionloss.data.shards.atomic import write_whole
from regionloss.data.sidecars.entries import same_aspect
from regionloss.data.sidecars.formats.rows import Imported, Written, numbers, read_file, side
from regionloss.data.sidecars.sidecar import Row, scanned_kinds
from regionloss.errors import InputError, expected

COLUMN = "bbox"
ORIGINAL = ("original_width", "original_height")
#: Boxes may end a little outside the image; what ends farther outside is no share of it, but in pixels.
MOST_SHARE = 1.1


def read_img2dataset(path: str, kind: str, column: str = COLUMN) -> Imported:
    """Read the boxes of a shard's metadata, `00000.parquet`, as img2dataset writes it beside `00000.tar`.

    The boxes are relative to the original image: they hold for resized copies, and not for those which img2dataset has
    cropped or padded (`resize_mode` center_crop and border). Those are counted and left out.

    Args:
        path: Parquet file with the columns `key`, `width`, `height` and the boxes; `status` and the original's size are
            respected.
        kind: Kind of the regions: img2dataset does not say.
        column: Name of the column with the boxes (`bbox_col`), which are relative to the image.

    Raises:
        InputError: Not such a file.
    """
    table = read_parquet(path)
    needed = {"key", "width", "height", column}
    if missing := sorted(needed - set(table.column_names)):
        got = f"no {', '.join(missing)}; there are {', '.join(table.column_names)}"
        raise InputError(expected(path, "the columns of img2dataset with boxes", got, "Name them with --column."))
    imported = Imported("img2dataset", [kind])
    chosen = [name for name in table.column_names if name in {*needed, "status", *ORIGINAL}]
    for one in table.select(chosen).to_pylist():
        add(imported, one, column)
    return imported.checked(path)


def add(imported: Imported, one: Row, column: str) -> None:
    """Add an image's row."""
    key, kind = str(one["key"]), imported.kinds[0]
    width, height, boxes = side(one["width"]), side(one["height"]), boxes_of(one[column])
    if one.get("status", "success") != "success" or width is None or height is None or one[column] is None:
        imported.drop("images without success, size or boxes", key)
        return
    if boxes is None:
        imported.drop(f"images whose '{column}' is no list of boxes", key)
        return
    size = (width, height)
    original = [side(one.get(name)) or known for name, known in zip(ORIGINAL, size, strict=True)]
    if not same_aspect(original, size):
        imported.drop("images of another aspect than the original, to which their boxes are relative", key)
        return
    if (row := imported.image(key, *size)) is None:
        return
    for box in boxes:
        shares = numbers(box)
        if shares and max(shares) > MOST_SHARE:
            imported.lose("boxes with numbers above 1: expected shares of the image, from 0 to 1", key, kind)
        else:
            imported.add(row, kind, shares and [share * size[i % 2] for i, share in enumerate(shares)])


def boxes_of(value: Any) -> list[Any] | None:
    """Return the boxes in a field: a list of lists, one list of four numbers, or JSON of either; None for others."""
    if isinstance(value, str | bytes):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    if not isinstance(value, list):
        return None
    if value and not any(isinstance(one, list) for one in value):
        return [value] if len(value) == 4 else None
    return value


def read_parquet(path: str) -> Any:
    """Read a Parquet file, local or not."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    contents = read_file(path)
    try:
        # Threads of the reader that still run when Python ends abort the process.
        table = pq.ParquetFile(pa.BufferReader(contents), pre_buffer=False).read(use_threads=False)
        table.validate(full=True)
        names = table.column_names
    except Exception as error:  # Of a damaged file its reader raises what it likes.
        raise InputError(expected(path, "a Parquet file", f"something else ({error})")) from error
    if len(set(names)) < len(names):
        raise InputError(expected(path, "columns with names of their own", f"two of one name among {', '.join(names)}"))
    return table


def write_img2dataset(path: str, rows: Iterable[Row], kind: str, column: str = COLUMN) -> Written:
    """Write the boxes of one kind as a Parquet file with `key`, `width`, `height` and boxes; null: not looked for."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    records, left = [], Counter[str]()
    for row in rows:
        boxes = [region["box"] for region in row["regions"] if region["kind"] == kind]
        left[f"regions of another kind than {kind}"] += len(row["regions"]) - len(boxes)
        record = {name: row[name] for name in ("key", "width", "height")}
        records.append(record | {column: boxes if boxes or kind in scanned_kinds(row["scans"]) else None})
    number = pa.list_(pa.list_(pa.float32()))
    columns = [("key", pa.string()), ("width", pa.int32()), ("height", pa.int32()), (column, number)]
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(records, schema=pa.schema(columns)), buffer)
    write_whole(path, buffer.getvalue().to_pybytes())
    return sum(len(record[column] or ()) for record in records), +left
