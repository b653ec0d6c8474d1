"""The columns of a side-car, and what may stand in them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


#: How far from an image anything of it may be, as a multiple of its side: what is farther is a mistake, and overflows.
FARTHEST = 1000.0


def schema(stored: bool = False) -> pa.Schema:
    """Return the Arrow schema of version 1.

    Args:
        stored: As files hold it: before 26, pyarrow does not read back lists of a fixed size that may be null.
    """
    import pyarrow as pa

    text, number = pa.string(), pa.float32()
    scan = [(name, text) for name in ("detector", "version", "weights", "options", "kind")]
    region = [
        pa.field("kind", text, nullable=False),
        pa.field("box", pa.list_(number, 4), nullable=False),
        pa.field("quad", pa.list_(number, -1 if stored else 8)),
        pa.field("keypoints", pa.list_(number)),
        pa.field("score", number, nullable=False),
        pa.field("text", text),
        pa.field("detector", text, nullable=False),
    ]
    fields = [
        pa.field("key", text, nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("scans", pa.list_(pa.struct([pa.field(name, kind, nullable=False) for name, kind in scan]))),
        pa.field("regions", pa.list_(pa.struct(region))),
    ]
    return pa.schema(fields)


def check_table(table: pa.Table) -> None:
    """Check the values of a table of the schema; lists that are null are empty ones.

    Raises:
        ValueError: What no row of a side-car can be; says which.
    """
    table.validate(full=True)
    for name in ("key", "width", "height"):
        if table[name].null_count:
            raise ValueError(f"rows without {name}")
    for name in ("width", "height"):
        if any(value < 1 for value in table[name].to_pylist()):
            raise ValueError(f"a {name} below 1")
    if len(set(table["key"].to_pylist())) < len(table):
        raise ValueError("two rows of one key")
    for name in ("scans", "regions"):
        check_entries(name, table[name].combine_chunks().flatten())


def check_entries(name: str, entries: pa.StructArray) -> None:
    """Check what rows list.

    Raises:
        ValueError: Entries without what each of them has, or with lists that cannot be theirs.
    """
    if entries.null_count:
        raise ValueError(f"{name} that are null")
    for field in entries.type:
        values = entries.field(field.name)
        lists = hasattr(values.type, "value_type")
        if (values.null_count and not field.nullable) or (lists and values.flatten().null_count):
            raise ValueError(f"{name} without {field.name}")
        if field.name == "kind" and any("\0" in kind for kind in values.to_pylist()):
            raise ValueError(f"{name} with a NUL in their kind")
        if field.name == "keypoints" and any((length or 0) % 2 for length in values.value_lengths().to_pylist()):
            raise ValueError("keypoints with an odd number of numbers")


def is_box(region: Mapping[str, Any]) -> bool:
    """Whether an entry is one that can be shown or learned from: a box that is partly in the image, and a score."""
    x1, y1, x2, y2 = box = region["box"]
    near = all(abs(value) <= FARTHEST for value in box) and math.isfinite(region["score"])
    return near and x1 < x2 and y1 < y2 and max(x1, y1) < 1 and min(x2, y2) > 0
