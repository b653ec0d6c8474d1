"""The tables of an evaluation: their columns, written part by part and joined without holding the crops in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from regionloss.disk import whole
from regionloss.evaluation.benchmarks.base import Benchmark

WORDS = pa.map_(pa.string(), pa.string())
INSTANCE = pa.schema(
    [
        ("key", pa.string()),
        ("number", pa.int32()),
        ("kind", pa.string()),
        ("box", pa.list_(pa.float64())),
        ("size", pa.float64()),
        ("group", pa.string()),
        ("columns", WORDS),
        ("benchmark", pa.string()),
        ("judge", pa.string()),
        ("read", pa.string()),
        ("original", pa.string()),
        ("truth", pa.string()),
        ("truth_from", pa.string()),
        ("problem", pa.string()),
        ("values", pa.map_(pa.string(), pa.float64())),
        ("target", pa.binary()),
        ("crop", pa.binary()),
    ]
)
PICTURES = ("target", "crop")


def image_schema(benchmarks: Sequence[Benchmark]) -> pa.Schema:
    """Return the columns of the table of images: those of every one, and a measure each of these benchmarks."""
    every = [("key", pa.string()), ("height", pa.int32()), ("width", pa.int32())]
    every += [("columns", WORDS), ("mark", pa.string()), ("owner", pa.string()), ("problem", pa.string())]
    names = {name for one in benchmarks for name, measure in one.measures.items() if measure.per == "image"}
    return pa.schema([*every, *((name, pa.float64()) for name in sorted(names))])


def table(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Return rows as a table; what no text format holds (lone surrogates) is spelled out."""
    return pa.Table.from_pylist([clean(row) for row in rows], schema)


def clean(value: Any) -> Any:
    """Return a value whose texts are text everywhere."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        return {clean(key): clean(one) for key, one in value.items()}
    return value


def joined(parts: Sequence[Path], name: str, without: Sequence[str] = ()) -> pa.Table:
    """Return a table of all parts, without some columns."""
    columns = [[one for one in pq.read_schema(part / name).names if one not in without] for part in parts]
    found = [pq.read_table(part / name, columns=own) for part, own in zip(parts, columns, strict=True)]
    return pa.concat_tables(found, promote_options="default")  # an earlier version's part may lack a column


def join_pictures(parts: Sequence[Path], name: str, kept: set[tuple[str, int]], path: Path) -> None:
    """Write a table of all parts as one file, with the pictures of some instances, each once.

    Args:
        parts: Folders of the parts, in order.
        name: Name of the table's file in each.
        kept: Key and number of the instances whose pictures stay.
        path: File to write.
    """
    with whole(path) as temporary, pq.ParquetWriter(temporary, INSTANCE, compression="zstd") as writer:
        for part in parts:
            found = pq.read_table(part / name)
            places = zip(found["key"].to_pylist(), found["number"].to_pylist(), strict=True)
            stays = pa.array([place in kept for place in places], pa.bool_())
            for column in PICTURES:
                values = pa.compute.if_else(stays, found[column], pa.scalar(None, pa.binary()))
                found = found.set_column(found.column_names.index(column), INSTANCE.field(column), values)
            writer.write_table(found)


def chosen(
    rows: pa.Table, values: Mapping[str, np.ndarray], measures: Sequence[str], count: int
) -> set[tuple[str, int]]:
    """Return the instances whose crops are kept: half of them the same for every tokenizer, then its worst and best.

    Args:
        rows: Rows of instances.
        values: Values by measure, (N,), NaN where there is none.
        measures: Measures by which the worst and the best are found.
        count: How many to keep of each kind.
    """
    places = list(zip(rows["key"].to_pylist(), rows["number"].to_pylist(), strict=True))
    kinds = np.array([*rows["kind"].to_pylist(), None], dtype=object)[:-1]
    kept: set[tuple[str, int]] = set()
    for kind in sorted(set(kinds)):
        mine = np.flatnonzero(kinds == kind)
        every = sorted({places[i] for i in mine}, key=lambda place: hashlib.sha256(repr(place).encode()).digest())
        kept.update(every if len(every) <= count else every[: count // 2])
        for measure in measures if len(every) > count else ():
            own = values.get(measure, np.full(len(kinds), np.nan))[mine]
            ranked = [places[mine[i]] for i in np.argsort(own, kind="stable") if not np.isnan(own[i])]
            share = max(1, count // 4 // len(measures))
            kept.update([*ranked[:share], *ranked[-share:]])
    return kept


def write_table(rows: pa.Table, path: Path) -> None:
    """Write a table as a file, whole or not at all."""
    with whole(path) as temporary:
        pq.write_table(rows, temporary, compression="zstd")
