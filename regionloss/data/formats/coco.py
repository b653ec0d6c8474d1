"""COCO: `images`, `annotations` with `bbox` [x, y, width, height] and `keypoints` [x, y, visibility], `categories`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from ...errors import InputError, expected
from ..sidecars import Row, scanned_kinds
from .rows import Imported, Written, absolute, fields_of, key_of_file, read_json, write_json

#: Of an image, where not all categories were looked for. COCO has no such field, and its readers pass over it.
LOOKED = "scanned_category_ids"


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
        imported = Imported("coco", sorted(set(kinds.values())))
        images = {}
        for one in found["images"]:
            ids = kinds.keys() & one[LOOKED] if LOOKED in one else kinds.keys()
            images[one["id"]] = image_row(imported, one, [kinds[id] for id in ids], keep_suffix), ids
        for one in found["annotations"]:
            row, ids = images.get(one["image_id"], ({}, ()))
            if one.get("category_id") not in ids:
                imported.dropped["of an image or a category that is not listed"] += 1
            elif one.get("iscrowd"):
                imported.dropped["crowd"] += 1
            else:
                add(imported, row, kinds[one["category_id"]], one)
    return imported


def image_row(imported: Imported, image: Mapping[str, Any], kinds: Sequence[str], keep_suffix: bool) -> Row:
    """Return the row of an entry of `images` in which these kinds were looked for."""
    key = key_of_file(image["file_name"], keep_suffix)
    return imported.image(key, int(image["width"]), int(image["height"]), kinds)


def add(imported: Imported, row: Row, kind: str, one: Mapping[str, Any]) -> None:
    """Add an annotation to its image's row."""
    corner, size = one["bbox"][:2], one["bbox"][2:]
    box = [*corner, *(side + length for side, length in zip(corner, size, strict=False))]
    points = list(one.get("keypoints") or [])
    triples = list(zip(points[0::3], points[1::3], points[2::3], strict=True))
    # 0 is not labelled: COCO writes 0, 0 for such a point.
    known = [(px, py) if seen else (math.nan, math.nan) for px, py, seen in triples]
    keypoints = list(chain.from_iterable(known)) if any(seen for *_, seen in triples) else None
    text = one.get("utf8_string") or one.get("text") or (one.get("attributes") or {}).get("text")
    more = {"keypoints": keypoints, "quad": quad_of(one.get("segmentation")), "text": text}
    imported.add(row, kind, box, **more, score=one.get("score", 1.0))


def quad_of(segmentation: Any) -> list[float] | None:
    """Return the corners of an outline that is one quadrilateral; None for other outlines and for masks."""
    if not isinstance(segmentation, list) or len(segmentation) != 1 or len(segmentation[0]) != 8:
        return None
    corners = [float(value) for value in segmentation[0]]
    return corners if all(map(math.isfinite, corners)) else None


def write_coco(path: str, rows: Iterable[Row]) -> Written:
    """Write rows as COCO, with all kinds that were looked for as categories; an image that not all of them were looked
    for in says so in a field of ours, `scanned_category_ids`.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    kinds: dict[str, dict[str, Any]] = {}
    seen: list[set[str]] = []
    for number, row in enumerate(rows, 1):
        images.append({"id": number, "file_name": row["key"], "width": row["width"], "height": row["height"]})
        seen.append({*scanned_kinds(row["scans"]), *(region["kind"] for region in row["regions"])})
        for kind in sorted(seen[-1]):
            kinds.setdefault(kind, {"id": len(kinds) + 1, "name": kind})
        for region in row["regions"]:
            ids = {"id": len(annotations) + 1, "image_id": number, "category_id": kinds[region["kind"]]["id"]}
            annotations.append(ids | annotation(region, row))
    for image, some in zip(images, seen, strict=True):
        if len(some) < len(kinds):
            image[LOOKED] = sorted(kinds[kind]["id"] for kind in some)
    categories = list(kinds.values())
    complete_keypoints(categories, annotations)
    write_json(path, {"images": images, "annotations": annotations, "categories": categories})
    return len(annotations), Counter()


def annotation(region: Row, row: Row) -> dict[str, Any]:
    """Return a region as COCO writes it."""
    x1, y1, x2, y2 = absolute(region["box"], row)
    entry: dict[str, Any] = {"iscrowd": 0, "bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1)}
    entry["score"] = region["score"]
    if region["keypoints"]:
        points = absolute(region["keypoints"], row)
        pairs = zip(points[0::2], points[1::2], strict=True)
        known = [(x, y, 2) if math.isfinite(x) and math.isfinite(y) else (0, 0, 0) for x, y in pairs]
        entry["keypoints"] = list(chain.from_iterable(known))
        entry["num_keypoints"] = sum(visible > 0 for *_, visible in known)
    if region["quad"]:
        entry["segmentation"] = [absolute(region["quad"], row)]
    if region["text"] is not None:
        entry["text"] = region["text"]
    return entry


def complete_keypoints(categories: Iterable[dict[str, Any]], annotations: Iterable[dict[str, Any]]) -> None:
    """Number the keypoints of the kinds that have some; COCO wants them of each of their annotations, too."""
    counts: dict[int, int] = {}
    for one in annotations:
        counts[one["category_id"]] = max(counts.get(one["category_id"], 0), len(one.get("keypoints", ())) // 3)
    for category in categories:
        if count := counts.get(category["id"], 0):
            category |= {"keypoints": [str(number) for number in range(1, count + 1)], "skeleton": []}
    for one in annotations:
        if count := counts[one["category_id"]]:
            one.setdefault("keypoints", [0] * (3 * count))
            one.setdefault("num_keypoints", 0)
