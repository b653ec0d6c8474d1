"""Side-cars damaged in their bytes, their notes and their values; joined, counted, exported, and annotated again."""

from __future__ import annotations

import functools
import io
import json
import math
import random
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from regionloss.data.sidecars.lookup import Sidecars
from regionloss.data.sidecars.sidecar import BOOK_KEY, VERSION_KEY, read_sidecar, schema
from regionloss.errors import InputError
from tests.fuzz.damage import ODD, bytes_of, values_of
from tests.fuzz.judging import Fault, command
from tests.fuzz.pictures import encoded, picture
from tests.fuzz.tars import annotated

KEYS = ("a", "b", "c")
SIZE = (64, 48)
SCAN = {"detector": "red", "version": "1", "weights": "", "options": "{}", "kind": "sign"}
REGION = {
    "kind": "sign", "box": [0.1, 0.2, 0.5, 0.6], "quad": None, "keypoints": [0.3, 0.4], "score": 0.75, "text": None,
    "detector": "red",
}  # fmt: skip
TEXT = REGION | {"kind": "text", "text": "word", "detector": "coco", "keypoints": None, "quad": [0.1] * 8}
ROWS: list[dict[str, Any]] = [
    {"key": "a", "width": 64, "height": 48, "scans": [SCAN], "regions": [REGION]},
    {
        "key": "b",
        "width": 64,
        "height": 48,
        "scans": [SCAN, SCAN | {"detector": "coco", "kind": "text"}],
        "regions": [],
    },
    {"key": "c", "width": 64, "height": 48, "scans": [SCAN], "regions": [REGION, TEXT]},
]
#: Boxes of which each breaks one rule alone, or none.
BOXES = (
    [0.1, 0.2, 0.5, 0.6], [-0.5, -0.5, 1.5, 1.5], [0.9, 0.2, 7, 0.6], [1, 0.2, 1.5, 0.6], [0.1, 1, 0.5, 1.5],
    [-0.5, 0.2, 0, 0.6], [0.1, -0.5, 0.5, 0], [0.5, 0.2, 0.5, 0.6], [0.1, 0.6, 0.5, 0.6], [0.5, 0.2, 0.1, 0.6],
    [0.1, 0.6, 0.5, 0.2], [0.1, 0.2, 1001, 0.6], [-1001, 0.2, 0.5, 0.6], [0.1, 0.2, math.inf, 0.6],
    [math.nan, 0.2, 0.5, 0.6], [0.1, 0.2, 0.5, math.nan],
)  # fmt: skip
SCORES = (0.5, 0.0, -3.0, 7.0, math.nan, math.inf, -math.inf)
NUMBERS = (math.nan, math.inf, -math.inf, -1.0, 0.0, 1.0, 2.0, 1e30, 3e38)
SIDES = (0, -1, 1, 64, 48, 2**31 - 1, -(2**31))
TEXTS = (None, "", ",", "text", "sign", "sign,text", "a,b", "x" * 3_000, "\n", "a\0b", "e\u0301", "$x^$", "[red]")


@functools.cache
def shard() -> bytes:
    """Return a tar file of the images that the rows are about."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for key in KEYS:
            contents = encoded(picture("RGB", SIZE), "png")
            info = tarfile.TarInfo(f"{key}.png")
            info.size = len(contents)
            archive.addfile(info, io.BytesIO(contents))
    return out.getvalue()


def odd_rows(rng: random.Random) -> list[dict[str, Any]]:
    """Return rows that fit the schema, with values that do not fit the sense."""
    rows: list[dict[str, Any]] = json.loads(json.dumps(ROWS))
    for _ in range(rng.choice((1, 2, 4))):
        row, how = rng.choice(rows), rng.randrange(14)
        region = rng.choice(row["regions"] or [dict(REGION)]) if row["regions"] is not None else dict(REGION)
        if how == 0:
            row[rng.choice(("width", "height"))] = rng.choice(SIDES)
        elif how == 1:
            row[rng.choice(("scans", "regions"))] = rng.choice(([], None))
        elif how == 2:
            row["key"] = rng.choice([text for text in TEXTS if text is not None] + list(KEYS))
        elif how == 3 and row["scans"]:
            name = rng.choice(list(SCAN))
            rng.choice(row["scans"])[name] = rng.choice([text for text in TEXTS if text is not None])
        elif how >= 7 and row["regions"]:
            for box in rng.sample(BOXES, 8):
                score = rng.choice(SCORES) if box in BOXES[:3] else 0.5
                row["regions"].append(REGION | {"box": list(box), "score": score})
        elif how == 4:
            region["box"] = [rng.choice(NUMBERS) for _ in range(4)]
        elif how == 5:
            region["quad"] = rng.choice((None, [rng.choice(NUMBERS)] * 8))
            region["keypoints"] = rng.choice((None, [], [0.5], [0.5, 0.5, 0.1], [math.nan, 0.5]))
        else:
            region["score"] = rng.choice(NUMBERS)
            region["text"] = rng.choice(TEXTS)
            region["kind"] = rng.choice(("sign", "text", "", "a,b", "x" * 3_000, "$x^$"))
    return rows


#: Sound ones.
NOTES = {VERSION_KEY: b"1", BOOK_KEY: json.dumps({"scans": [SCAN], "shard": "", "files": {}}).encode()}


def notes_of(rng: random.Random) -> dict[bytes, bytes]:
    """Return the notes of a side-car, odd ones now and then."""
    book: Any = {"scans": [SCAN], "shard": "", "files": {}}
    if rng.random() < 0.5:
        book = rng.choice((values_of(rng, book), rng.choice(ODD)))
    text = json.dumps(book).encode()
    if rng.random() < 0.2:
        text = bytes_of(rng, text)
    version = rng.choice((b"1", b"1", b"1", b"1", b"2", b"", b"\xff", b"1" * 5_000, "²".encode()))
    return {VERSION_KEY: version, BOOK_KEY: text}


def is_sound(region: dict[str, Any]) -> bool:
    """Whether an entry is a box that is partly in the image, and a score: by plain arithmetic."""
    x1, y1, x2, y2 = np.float32(region["box"])
    finite = all(-1000 <= value <= 1000 for value in (x1, y1, x2, y2)) and math.isfinite(np.float32(region["score"]))
    return bool(finite and x1 < x2 and y1 < y2 and x1 < 1 and y1 < 1 and x2 > 0 and y2 > 0)


def table_of(rng: random.Random, rows: list[dict[str, Any]]) -> pa.Table:
    """Return a table of odd rows, notes or columns."""
    table = pa.Table.from_pylist(rows, schema=schema())
    how = rng.randrange(24)
    if how == 0:
        table = table.drop_columns([rng.choice(table.column_names)])
    elif how == 1:
        table = table.rename_columns([name.upper() for name in table.column_names])
    elif how == 2:
        table = table.set_column(1, "width", pa.array([0.5] * len(rows)))
    elif how == 3:
        table = table.slice(0, 0)
    return table.replace_schema_metadata(notes_of(rng) if rng.random() < 0.3 else NOTES)


def fuzz(rng: random.Random, folder: Path) -> None:
    """Read an odd side-car in every way: valid regions or a sentence that names it; annotate, and it is sound."""
    car, tar = folder / "shard.regions.parquet", folder / "shard.tar"
    tar.write_bytes(shard())
    rows = odd_rows(rng) if rng.random() < 0.7 else ROWS
    pq.write_table(table_of(rng, rows), car, write_page_checksum=rng.random() < 0.7)
    if damaged := rng.random() < 0.4:
        car.write_bytes(bytes_of(rng, car.read_bytes()))
    try:
        join(tar, [] if damaged else rows)
    except InputError as error:
        if "shard.regions.parquet" not in str(error):
            raise Fault(f"a sentence that does not name the side-car: {error}") from error
    if rng.random() < 0.05:
        command("regions", "stats", str(car), "--out", str(folder / "stats.png"))
    out = folder / "out.json"
    command("regions", "export", str(car), "--out", str(out), "--format", rng.choice(("coco", "tokbench")))
    if out.exists():
        json.loads(out.read_text(encoding="utf-8"))
    if not (report := annotated(tar)).failed:
        rows = list(read_sidecar(str(car)).rows())
        if report.rows != len(KEYS) or {row["key"] for row in rows} != set(KEYS):
            raise Fault(f"annotated again: {report.rows} of {len(KEYS)} images have a row: {report.named}")
        join(tar)
    elif "Error:" in report.failed or "shard" not in report.failed:
        raise Fault(f"annotating again failed without a sentence: {report.failed[:200]}")


def join(tar: Path, given: Sequence[dict[str, Any]] = ()) -> None:
    """Join images with what is said of them; what comes out can be put into a batch, the rest is counted.

    Args:
        tar: The shard.
        given: The rows of its side-car, where they are as they were given: then all that is sound is kept.
    """
    cars = Sidecars("")
    by_key = {row["key"]: row for row in given if [one["key"] for one in given].count(row["key"]) == 1}
    rows = cars.rows(str(tar))
    for key in KEYS:
        joined = cars(str(tar), key, SIZE)
        for kind, regions in joined.regions.items():
            limits = torch.tensor([*SIZE, *SIZE])
            if not (regions.boxes.isfinite().all() and (regions.boxes[:, :2] < limits[:2]).all()):
                raise Fault(f"'{key}': boxes of '{kind}' that are none: {regions.boxes.tolist()}")
            if regions.scores is not None and not regions.scores.isfinite().all():
                raise Fault(f"'{key}': scores of '{kind}' that are none: {regions.scores.tolist()}")
        if rows is not None and key in rows.row and joined.regions:
            place = rows.row[key]
            held = sum(kind in joined.regions for kind in rows.kinds[rows.ends[place] : rows.ends[place + 1]])
            kept = sum(len(regions) for regions in joined.regions.values())
            for kind, regions in joined.regions.items():
                mine = [one for one in by_key.get(key, {}).get("regions") or () if one["kind"] == kind]
                if key in by_key and len(regions) != sum(map(is_sound, mine)):
                    raise Fault(f"'{key}': of {[(one['box'], one['score']) for one in mine]} are kept {len(regions)}")
            if kept + sum(joined.dropped.values()) < held:
                raise Fault(f"'{key}': {held} entries, {kept} kept, {dict(joined.dropped)} counted")
