"""Annotations of other formats with odd values, brought to a shard by `regions import`."""

from __future__ import annotations

import copy
import functools
import io
import json
import math
import random
import re
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from regionloss.data.sidecars.formats import coco, img2dataset, tokbench
from regionloss.data.sidecars.sidecar import read_sidecar
from tests.fuzz.damage import ODD, bytes_of, values_of
from tests.fuzz.judging import Fault, command
from tests.fuzz.pictures import encoded, picture

KEYS, SIZE = ("a", "b", "c"), (64, 48)
COCO = {
    "images": [{"id": n, "file_name": f"{key}.png", "width": 64, "height": 48} for n, key in enumerate(KEYS)],
    "annotations": [
        {
            "id": 1,
            "image_id": 0,
            "category_id": 1,
            "bbox": [5, 6, 20, 10],
            "segmentation": [[5, 6, 25, 6, 25, 16, 5, 16]],
        },
        {
            "id": 2,
            "image_id": 0,
            "category_id": 2,
            "bbox": [1.5, 2, 8, 9],
            "keypoints": [3, 4, 2, 0, 0, 0],
            "score": 0.5,
        },
        {"id": 3, "image_id": 2, "category_id": 1, "bbox": [30, 20, 10, 10], "iscrowd": 0, "text": "word"},
    ],
    "categories": [{"id": 1, "name": "text"}, {"id": 2, "name": "face"}],
}
TEXTS = [
    {
        "file_name": f"{key}.png", "width": 64, "height": 48,
        "annotations": [{"bbox": [4, 5, 30, 15], "rec": "word"}, {"bbox": [4, 25, 30, 35], "rec": "x"}],
    }
    for key in KEYS
]  # fmt: skip
FACES = [
    {
        "image_name": f"{key}.png", "img_width": 64, "img_height": 48,
        "faces": [{"box": [4, 5, 30, 35, 0.9], "kps": [[8, 9], [20, 9], [14, 15], [9, 20], [19, 20]]}],
    }
    for key in KEYS
]  # fmt: skip
BOXES = [{"key": key, "width": 64, "height": 48, "bbox": [[0.1, 0.2, 0.5, 0.6], [0.2, 0.2, 0.3, 0.3]]} for key in KEYS]
SAMPLES: dict[str, Any] = {"coco": COCO, "texts": TEXTS, "faces": FACES, "img2dataset": BOXES}
#: Boxes `x1, y1, x2, y2` in pixels of which each breaks one rule alone.
SPOILT = (
    (64, 6, 80, 16), (5, 48, 25, 60), (-20, 6, 0, 16), (5, -9, 25, 0), (5, 6, 5, 16), (5, 6, 25, 6), (25, 6, 5, 16),
    (5, 16, 25, 6), (5, 6, 25, math.nan), (math.inf, 6, 25, 16),
)  # fmt: skip
COUNT = re.compile(r"(\d+) regions? of")


@functools.cache
def shard() -> bytes:
    """Return a tar file of the images that the samples are about."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for key in KEYS:
            contents = encoded(picture("RGB", SIZE), "png")
            info = tarfile.TarInfo(f"{key}.png")
            info.size = len(contents)
            archive.addfile(info, io.BytesIO(contents))
    return out.getvalue()


def spoilt(rng: random.Random, name: str) -> Any:
    """Return a sample in which one box of several is none."""
    data = copy.deepcopy(SAMPLES[name])
    x1, y1, x2, y2 = rng.choice(SPOILT)
    if name == "coco":
        rng.choice(data["annotations"])["bbox"] = [x1, y1, x2 - x1, y2 - y1]
    elif name == "texts":
        rng.choice(rng.choice(data)["annotations"])["bbox"] = [x1, y1, x2, y2]
    elif name == "faces":
        rng.choice(data)["faces"][0]["box"] = [x1, y1, x2, y2, 0.9]
    else:
        boxes = rng.choice(data)["bbox"]
        boxes[rng.randrange(2)] = [float(x1) / 64, float(y1) / 48, float(x2) / 64, float(y2) / 48]
    return data


def entries(name: str, data: Any) -> list[int]:
    """Return how many regions each image of a sample that is still of its form holds; none where nobody can tell."""
    if name == "coco":
        found = data.get("annotations") if isinstance(data, dict) else None
        return [1] * len(found) if isinstance(found, list) else []
    field = {"texts": "annotations", "faces": "faces", "img2dataset": "bbox"}[name]
    lists = [one.get(field) for one in data if isinstance(one, dict)] if isinstance(data, list) else []
    return [len(one) for one in lists if isinstance(one, list)]


def written(rng: random.Random, name: str, data: Any, path: Path) -> bool:
    """Write a sample; return whether its bytes were left alone."""
    if name == "img2dataset":
        try:
            table = pa.Table.from_pylist(data)
        except (pa.ArrowException, TypeError, AttributeError, LookupError, ValueError, OverflowError):
            table = pa.Table.from_pylist(BOXES).append_column("odd", pa.array([{"a": 1}] * len(KEYS)))
        pq.write_table(table, path)
    else:
        path.write_text(json.dumps(data), encoding="utf-8")
    damaged = rng.random() < 0.2
    if damaged:
        path.write_bytes(bytes_of(rng, path.read_bytes()))
    return not damaged


def fuzz(rng: random.Random, folder: Path) -> None:
    """Import an odd file: every region is kept, counted or refused; what is kept is read and exported again."""
    name = rng.choice(list(SAMPLES))
    if one_spoilt := rng.random() < 0.4:
        data = spoilt(rng, name)
    else:
        data = values_of(rng, SAMPLES[name]) if rng.random() < 0.9 else rng.choice((SAMPLES[name], *ODD))
    source, tar = folder / ("in.parquet" if name == "img2dataset" else "in.json"), folder / "shard.tar"
    tar.write_bytes(shard())
    whole = written(rng, name, data, source)
    read = {"coco": coco.read_coco, "img2dataset": lambda path: img2dataset.read_img2dataset(path, "text")}
    imported = read.get(name, tokbench.read_tokbench)(str(source))
    kept = sum(len(row["regions"]) for row in imported.rows.values())
    held_by = entries(name, pq.read_table(source).to_pylist() if name == "img2dataset" and whole else data)
    # An image that is left out is named and counted once, with whatever it holds.
    images = sum(number for reason, number in imported.dropped.items() if reason.startswith("images "))
    count, hidden = sum(held_by), sum(sorted(held_by)[-images:]) if images else 0
    if whole and kept + sum(imported.dropped.values()) + hidden < count:
        raise Fault(f"{name}: {count} regions, {kept} kept, {dict(imported.dropped)} counted")
    if one_spoilt and whole and (kept != count - 1 or not imported.dropped):
        raise Fault(f"{name}: of {count} regions, one of which is none, {kept} kept, {dict(imported.dropped)} counted")
    form = name if name in ("coco", "img2dataset") else "tokbench"
    said = command("regions", "import", str(source), "--images", str(tar), "--format", form)
    car = folder / "shard.regions.parquet"
    if said.code:
        if car.exists():
            raise Fault(f"{name}: refused, and yet a side-car was written: {said.err[:160]}")
        return
    rows = list(read_sidecar(str(car)).rows())
    held = sum(len(row["regions"]) for row in rows)
    if held != int(COUNT.search(said.out)[1]) or (held < kept and "Left out" not in said.out):  # type: ignore[index]
        raise Fault(f"{name}: {kept} regions read, {held} in the side-car, said: {said.out[:160]}")
    # Of a file about several shards, one may hold none of the images with regions, and is told so.
    if whole and count and not held and "does not hold" not in said.out:
        raise Fault(f"{name}: nothing of {count} regions is kept, and that is a success: {said.out[:160]}")
    for region in (region for row in rows for region in row["regions"]):
        x1, y1, x2, y2 = region["box"]
        if not (0 <= x1 < x2 <= 1.001 and 0 <= y1 < y2 <= 1.001):
            raise Fault(f"{name}: a box that is none: {region['box']}")
