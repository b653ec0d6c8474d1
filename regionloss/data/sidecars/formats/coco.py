"""COCO: `images`, `annotations` with `bbox` [x, y, width, height] and `keypoints` [x, y, visibility], `categories`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from regionloss.data.sidecars.formats.rows import (
    Imported,
    Written,
    absolute,
    coordinate,
    extent,
    fields,
    is_kind,
    numbers,
    plain,
    read_json,
    write_json,
)
from regionloss.data.sidecars.sidecar import Row, scanned_kinds
from regionloss.errors import InputError, expected

#: Of an image, where not all categories were looked for. COCO has no such field, and its readers pass over it.
LOOKED = "scanned_category_ids"
OUTLINES = "outlines other than of four corners, their boxes are kept"
KEYPOINTS = "keypoints other than x, y, visibility, their boxes are kept"
#: Rows of images, and the categories that were looked for in them, by the images' ids.
Images = dict[str | None, tuple[Row, set[str | None]]]


def read_coco(path: str) -> Imported:
    """Read COCO annotations; a category's name is the region's kind, a file's name the key. What cannot be used is
    counted and left out. The box of an annotation without `bbox` is that around its outline.

    Raises:
        InputError: Not COCO, or nothing in it can be used.
    """
    found = read_json(path)
    if not isinstance(found, dict) or not all(isinstance(found.get(name), list) for name in ("images", "annotations")):
        raise InputError(expected(path, "a COCO file with 'images' and 'annotations'", "something else"))
    imported = Imported("coco", [])
    kinds = kinds_of(imported, found.get("categories") or [])
    imported.kinds = sorted(set(kinds.values()))
    images = images_of(imported, found["images"], kinds)
    for one in map(fields, found["annotations"]):
        image, category = ident(one.get("image_id")), ident(one.get("category_id"))
        if image not in images:
            imported.lose("of an image that is not listed, or is left out", f"image {image}")
            continue
        row, looked = images[image]
        if category not in looked:
            imported.lose("of a category that is not listed, or is left out", f"category {category}")
        elif one.get("iscrowd") in (1, "1"):
            imported.lose("crowd", row["key"], kinds[category])
        else:
            add(imported, row, kinds[category], one)
    return imported.checked(path)


def ident(value: Any) -> str | None:
    """Return an id as text: files have 7, 7.0 and "7" for one another. None for what is none."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return plain(str(value)) if isinstance(value, str | int | float) else None


def kinds_of(imported: Imported, categories: Any) -> dict[str | None, str]:
    """Return the kinds that categories stand for, by id."""
    kinds: dict[str | None, str] = {}
    for one in map(fields, categories if isinstance(categories, list) else [categories]):
        id, name = ident(one.get("id")), ident(one.get("name"))
        if id is None or name is None or not is_kind(name):
            imported.drop("categories without id, without name, or with a comma in it", repr(name or id)[1:-1])
        elif kinds.setdefault(id, name) != name:
            imported.drop("categories of an id that another has", name)
    return kinds


def images_of(imported: Imported, entries: list[Any], kinds: Mapping[str | None, str]) -> Images:
    """Return the rows of the images that have a name, a size and an id of their own."""
    images: Images = {}
    for one in map(fields, entries):
        id, looked = ident(one.get("id")), set(kinds)
        if isinstance(one.get(LOOKED), list):
            looked &= {ident(value) for value in one[LOOKED]}
        if id is None or id in images:
            imported.drop("images without an id of their own", str(ident(one.get("file_name"))))
            continue
        seen = [kinds[category] for category in looked]
        row = imported.image(one.get("file_name"), one.get("width"), one.get("height"), seen)
        if row is not None:
            images[id] = row, looked
    return images


def add(imported: Imported, row: Row, kind: str, one: Mapping[str, Any]) -> None:
    """Add an annotation to its image's row."""
    outlines, given = outlines_of(one.get("segmentation")), one.get("segmentation")
    box, corner = one.get("bbox"), numbers(one.get("bbox"))
    if not box and outlines:
        box = extent(outlines)
    elif corner is not None and len(corner) == 4:
        box = [*corner[:2], corner[0] + corner[2], corner[1] + corner[3]]
    quad = outlines[0] if len(outlines) == 1 and len(outlines[0]) == 8 else None
    points = one.get("keypoints") or []
    odd = not isinstance(points, list) or len(points) % 3
    lacking = [*([OUTLINES] if given and quad is None else []), *([KEYPOINTS] if odd else [])]
    text = one.get("utf8_string") or one.get("text") or fields(one.get("attributes")).get("text")
    more = {"keypoints": None if odd else keypoints_of(points), "text": text, "score": one.get("score")}
    imported.add(row, kind, box, lacking, **more, **({"quad": quad} if quad else {}))


def keypoints_of(points: list[Any]) -> list[float] | None:
    """Return the keypoints `x, y, x, y, ...` of `x, y, visibility, ...`; None where none is known."""
    # 0 is not labelled: COCO writes 0, 0 for such a point.
    triples = list(zip(points[0::3], points[1::3], points[2::3], strict=True))
    known = [(coordinate(px), coordinate(py)) if seen else (math.nan, math.nan) for px, py, seen in triples]
    return list(chain.from_iterable(known)) if any(seen for *_, seen in triples) else None


def outlines_of(segmentation: Any) -> list[list[float]]:
    """Return the outlines `x, y, x, y, ...` of an annotation, also of one that is not in a list; none of a mask."""
    if not isinstance(segmentation, list):
        return []
    given = segmentation if any(isinstance(one, list) for one in segmentation) else [segmentation]
    found = [numbers(one) for one in given]
    whole = [one for one in found if one is not None and len(one) >= 6 and not len(one) % 2]
    return whole if len(whole) == len(given) else []


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
