"""TokBench: `text_<set>.json` and `face_meta.json`; boxes and keypoints in pixels.

Its keypoints count from the centre of the first pixel, as OpenCV and InsightFace do; ours from its corner.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from regionloss.data.sidecars.formats.rows import Imported, Written, absolute, fields, numbers, read_json, write_json
from regionloss.data.sidecars.sidecar import Row, sides
from regionloss.errors import InputError, expected

#: Keys of an image's name, width and height, and of its entries, by kind.
FIELDS = {
    "text": ("file_name", "width", "height", "annotations"),
    "face": ("image_name", "img_width", "img_height", "faces"),
}
#: Where the first pixel's centre lies for us, and 0 for keypoints of TokBench.
CENTRE = 0.5


def read_tokbench(path: str) -> Imported:
    """Read a TokBench annotation file, of texts or of faces, as its fields say. What cannot be used is counted and left
    out.

    Raises:
        InputError: Neither, or nothing in it can be used.
    """
    found = read_json(path)
    if not isinstance(found, list) or not any(isinstance(one, dict) for one in found):
        advice = "Its annotations are in text_<set>.json and face_meta.json, its results in others."
        raise InputError(expected(path, "a list of images of TokBench", type(found).__name__, advice))
    kind = "face" if "faces" in next(one for one in found if isinstance(one, dict)) else "text"
    imported = Imported("tokbench", [kind])
    for image in map(fields, found):
        add_image(imported, image, kind)
    return imported.checked(path)


def add_image(imported: Imported, image: Mapping[str, Any], kind: str) -> None:
    """Add an image of a set."""
    name, width, height, entries = FIELDS[kind]
    if not isinstance(found := image.get(entries), list):
        imported.drop(f"images without a list of {entries}", str(image.get(name)))
    elif (row := imported.image(image.get(name), image.get(width), image.get(height))) is not None:
        for one in map(fields, found):
            if kind == "face":
                add_face(imported, row, one)
            else:
                imported.add(row, "text", one.get("bbox"), text=one.get("rec"))


def add_face(imported: Imported, row: Row, one: Mapping[str, Any]) -> None:
    """Add a face to its image's row."""
    box, points = one.get("box"), one.get("kps")
    pairs = [numbers(pair) for pair in points] if isinstance(points, list) else []
    known = [pair for pair in pairs if pair is not None and len(pair) == 2]
    keypoints = [value + CENTRE for value in chain.from_iterable(known)] if known and len(known) == len(pairs) else None
    lacking = ["keypoints other than pairs of numbers, their boxes are kept"] if keypoints is None else []
    # What follows the four numbers is the detector's certainty.
    imported.add(row, "face", box[:4] if isinstance(box, list) else box, lacking, keypoints=keypoints)


def write_tokbench(path: str, rows: Iterable[Row], kind: str = "text") -> Written:
    """Write the regions of one kind, `text` or `face`, as TokBench does.

    Texts without transcription, and faces without their five keypoints, are left out: TokBench cannot use them; and so
    are images without any. `ratio` is the extent of a character, or of a face, as a share of the longest side of the
    image.

    Raises:
        InputError: Another kind.
    """
    if kind not in ("text", "face"):
        raise InputError(expected("--kind", "text or face", f"'{kind}'", "TokBench has no other."))
    (name, width, height, entries), lacking = FIELDS[kind], "five keypoints" if kind == "face" else "transcription"
    left: Counter[str] = Counter()
    kept: list[dict[str, Any]] = []
    for row in rows:
        mine = [region for region in row["regions"] if region["kind"] == kind]
        usable = [entry for region in mine if (entry := (face_of if kind == "face" else text_of)(region, row))]
        left[f"regions of another kind than {kind}"] += len(row["regions"]) - len(mine)
        left[f"{kind}s without {lacking}"] += len(mine) - len(usable)
        left[f"images without a {kind} that TokBench can use"] += not usable
        if usable:
            kept.append({name: row["key"], height: row["height"], width: row["width"], entries: usable})
    write_json(path, kept)
    return sum(len(image[entries]) for image in kept), +left


def text_of(region: Row, row: Row) -> dict[str, Any] | None:
    """Return the entry of a text; None for one without transcription."""
    if not region["text"]:
        return None
    box = absolute(region["box"], row)
    ratio = (box[2] - box[0]) / max(sides(row)) / len(region["text"])
    return {"rec": region["text"], "bbox": box, "ratio": ratio}


def face_of(region: Row, row: Row) -> dict[str, Any] | None:
    """Return the entry of a face; None for one without its five keypoints."""
    points = region["keypoints"] or []
    if len(points) != 10 or not all(map(math.isfinite, points)):
        return None
    box, pixels = absolute(region["box"], row), absolute(points, row)
    ratio = max(box[2] - box[0], box[3] - box[1]) / max(sides(row))
    centred = [value - CENTRE for value in pixels]
    return {"kps": [list(pair) for pair in zip(centred[0::2], centred[1::2], strict=True)], "box": box, "ratio": ratio}
