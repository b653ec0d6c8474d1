"""COCO: `images`, `annotations` with `bbox` [x, y, width, height] and `keypoints` [x, y, visibility], `categories`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import chain
from typing import Any

from ...errors import InputError, expected
from ..sidecars import Row, Scan
from .rows import Imported, absolute, fields_of, key_of_file, read_json, write_json


def read_coco(path: str, keep_suffix: bool = True) -> Imported:
    """Read COCO annotations; a category's name is the region's kind. Crowds are counted and left out.

    Args:
        path: JSON file.
        keep_suffix: Whether keys are names of files, as in a folder, or without suffix, as in a tar file.

    Raises:
        InputError: Not COCO.
    """
    found = read_json(path)
    if not isinstance(found, dict) or not {"images", "annotations"} <= found.keys():
        raise InputError(expected(path, "a COCO file with 'images' and 'annotations'", "something else"))
    with fields_of(path, "COCO"):
        kinds = {one["id"]: str(one["name"]) for one in found.get("categories", [])}
        imported = Imported([Scan("coco", kind=",".join(sorted(set(kinds.values()))))])
        images = {one["id"]: image_row(imported, one, keep_suffix) for one in found["images"]}
        for one in found["annotations"]:
            add(imported, images, kinds, one)
    return imported


def image_row(imported: Imported, image: dict[str, Any], keep_suffix: bool) -> Row:
    """Return the row of an entry of `images`."""
    return imported.image(key_of_file(image["file_name"], keep_suffix), int(image["width"]), int(image["height"]))


def add(imported: Imported, images: dict[Any, Row], kinds: dict[Any, str], one: dict[str, Any]) -> None:
    """Add an annotation to its image's row."""
    if one["image_id"] not in images or one.get("category_id") not in kinds:
        imported.dropped["of an image or a category that is not listed"] += 1
        return
    if one.get("iscrowd"):
        imported.dropped["crowd"] += 1
        return
    corner, size = one["bbox"][:2], one["bbox"][2:]
    box = [*corner, *(side + length for side, length in zip(corner, size, strict=False))]
    points = list(one.get("keypoints") or [])
    triples = list(zip(points[0::3], points[1::3], points[2::3], strict=True))
    # 0 is not labelled: COCO writes 0, 0 for such a point.
    known = [(px, py) if seen else (math.nan, math.nan) for px, py, seen in triples]
    text = one.get("utf8_string") or one.get("text") or (one.get("attributes") or {}).get("text")
    more = {"keypoints": list(chain.from_iterable(known)) or None, "text": text, "score": one.get("score", 1.0)}
    imported.add(images[one["image_id"]], kinds[one["category_id"]], box, **more)


def write_coco(path: str, rows: Iterable[Row]) -> int:
    """Write rows as COCO; return the number of regions. Whether an image was looked at for a kind is lost."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    kinds: dict[str, dict[str, Any]] = {}
    for number, row in enumerate(rows, 1):
        images.append({"id": number, "file_name": row["key"], "width": row["width"], "height": row["height"]})
        for region in row["regions"]:
            kind = kinds.setdefault(region["kind"], {"id": len(kinds) + 1, "name": region["kind"]})
            x1, y1, x2, y2 = absolute(region["box"], row)
            entry = {"id": len(annotations) + 1, "image_id": number, "category_id": kind["id"], "iscrowd": 0}
            entry |= {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1), "score": region["score"]}
            if region["keypoints"]:
                points = absolute(region["keypoints"], row)
                pairs = list(zip(points[0::2], points[1::2], strict=True))
                known = [(x, y, 2) if x == x and y == y else (0, 0, 0) for x, y in pairs]
                entry |= {
                    "keypoints": list(chain.from_iterable(known)),
                    "num_keypoints": sum(seen > 0 for *_, seen in known),
                }
            if region["text"] is not None:
                entry["text"] = region["text"]
            annotations.append(entry)
    write_json(path, {"images": images, "annotations": annotations, "categories": list(kinds.values())})
    return len(annotations)
