"""TokBench: `text_<set>.json` and `face_meta.json`; boxes and keypoints in pixels."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from regionloss.data.sidecars.formats.rows import Imported, Written, absolute, fields, numbers, read_json, write_json
from regionloss.data.sidecars.sidecar import Row
from regionloss.errors import InputError, expected


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
        (add_faces if kind == "face" else add_texts)(imported, image)
    return imported.checked(path)


def add_texts(imported: Imported, image: Mapping[str, Any]) -> None:
    """Add an image of a text set."""
    name = image.get("file_name")
    if not isinstance(found := image.get("annotations"), list):
        imported.drop("images without a list of annotations", str(name))
    elif (row := imported.image(name, image.get("width"), image.get("height"))) is not None:
        for one in map(fields, found):
            imported.add(row, "text", one.get("bbox"), text=one.get("rec"))


def add_faces(imported: Imported, image: Mapping[str, Any]) -> None:
    """Add an image of the face set."""
    name = image.get("image_name")
    if not isinstance(found := image.get("faces"), list):
        imported.drop("images without a list of faces", str(name))
    elif (row := imported.image(name, image.get("img_width"), image.get("img_height"))) is not None:
        for one in map(fields, found):
            box, points = one.get("box"), one.get("kps")
            pairs = [numbers(pair) for pair in points] if isinstance(points, list) else []
            known = [pair for pair in pairs if pair is not None and len(pair) == 2]
            keypoints = list(chain.from_iterable(known)) if known and len(known) == len(pairs) else None
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
    name, lacking = ("faces", "five keypoints") if kind == "face" else ("annotations", "transcription")
    left: Counter[str] = Counter()
    kept = []
    for row in rows:
        image = face_image(row) if kind == "face" else text_image(row)
        mine = sum(region["kind"] == kind for region in row["regions"])
        left[f"regions of another kind than {kind}"] += len(row["regions"]) - mine
        left[f"{kind}s without {lacking}"] += mine - len(image[name])
        left[f"images without a {kind} that TokBench can use"] += not image[name]
        kept += [image] if image[name] else []
    write_json(path, kept)
    return sum(len(image[name]) for image in kept), +left


def text_image(row: Row) -> dict[str, Any]:
    """Return the entry of an image in a text set."""
    entries = []
    for region in row["regions"]:
        if region["kind"] == "text" and region["text"]:
            box = absolute(region["box"], row)
            ratio = (box[2] - box[0]) / max(row["width"], row["height"]) / len(region["text"])
            entries.append({"rec": region["text"], "bbox": box, "ratio": ratio})
    size = {"height": row["height"], "width": row["width"]}
    return {"file_name": row["key"], **size, "annotations": entries}


def face_image(row: Row) -> dict[str, Any]:
    """Return the entry of an image in the face set."""
    faces = []
    for region in row["regions"]:
        points = region["keypoints"] or []
        if region["kind"] == "face" and len(points) == 10 and all(map(math.isfinite, points)):
            box, pixels = absolute(region["box"], row), absolute(points, row)
            ratio = max(box[2] - box[0], box[3] - box[1]) / max(row["width"], row["height"])
            kps = [list(pair) for pair in zip(pixels[0::2], pixels[1::2], strict=True)]
            faces.append({"kps": kps, "box": box, "ratio": ratio})
    return {"image_name": row["key"], "img_height": row["height"], "img_width": row["width"], "faces": faces}
