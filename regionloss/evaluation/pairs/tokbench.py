"""TokBench's folders: images, and annotation files `text_<set>.json` and `face_meta.json` among them, as they are.

Source: TokBench, https://github.com/wjf5203/TokBench (formats of its annotation files).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from regionloss.data.images.files import MOST_PIXELS
from regionloss.data.sidecars.formats.tokbench import CENTRE
from regionloss.errors import InputError, expected, reason_of
from regionloss.evaluation.pairs.columns import Columns
from regionloss.evaluation.pairs.folder import ImageFolder
from regionloss.evaluation.pairs.pair import Instance, Original

#: The column that says which set an instance is of.
SET = "set"


class TokBench:
    """The images that annotation files of TokBench name.

    Boxes, landmarks and ratios are taken as they are written, also where they reach outside an image; only, landmarks
    count from the centre of the first pixel there, and from its corner here. `ratio` is never computed anew.

    Args:
        folder: Folder with the annotation files, at any depth, and the images.
        columns: Other columns of images, for groups.
        name: What tables call it; None takes the folder's name.
        max_pixels: Most pixels of an image that is decoded.

    Raises:
        InputError: There are no annotation files or no images, an annotation file is none, or no
            column is of these images.
    """

    def __init__(
        self, folder: Path, columns: Columns | None = None, name: str | None = None, max_pixels: int = MOST_PIXELS
    ) -> None:
        self.name, self.columns = name or folder.resolve().name, columns or Columns()
        self.files = annotation_files(folder)
        if not self.files:
            raise InputError(expected(str(folder), "annotation files text_<set>.json or face_meta.json", "none"))
        self.images = ImageFolder(str(folder), max_pixels)
        self.instances: dict[str, list[Instance]] = {}
        self.problems: dict[str, list[str]] = {}
        self.notes: list[str] = []
        for path in self.files:
            self.add(path)
        self.notes += self.columns.notes(self.instances)

    @property
    def identity(self) -> str:
        """What changes where the images, their annotations or their columns do."""
        marks = [self.images.identity, self.columns.identity]
        marks += [hashlib.sha256(path.read_bytes()).hexdigest() for path in self.files]
        return hashlib.sha256("".join(marks).encode()).hexdigest()

    def names(self) -> list[str]:
        """Return the names of all annotated images, in order."""
        return sorted(self.instances)

    def read(self, key: str) -> Original:
        """Return one of them. Raises InputError where there is no such image, or it cannot be read."""
        if key not in self.images.numbers:
            raise InputError(f"missing originals: {key}")
        try:
            image = self.images.read(key)
        except InputError as error:
            raise InputError(f"unreadable images: {error}") from error
        own, owner = self.columns.of(key), self.columns.owners.get(key, "")
        return Original(key, image, tuple(self.instances[key]), own, tuple(self.problems.get(key, ())), owner)

    def batches(self, size: int = 64) -> dict[tuple[str, int], tuple[str, ...]]:
        """Return the transcriptions of the batch that TokBench's script reads a text in, by image and number.

        Args:
            size: Texts in a batch: those of one set, in the order of its annotations.
        """
        places: dict[str, list[tuple[str, int]]] = {}
        for key, instances in self.instances.items():
            for number, one in enumerate(instances):
                if one.text is not None:
                    places.setdefault(one.columns[SET], []).append((key, number))
        found: dict[tuple[str, int], tuple[str, ...]] = {}
        for own in places.values():
            for part in (own[begin : begin + size] for begin in range(0, len(own), size)):
                found |= dict.fromkeys(part, tuple(self.instances[key][number].text or "" for key, number in part))
        return found

    def add(self, path: Path) -> None:
        """Add what one annotation file says."""
        for entry in entries(path):
            name = entry.get("file_name", entry.get("image_name"))
            if not isinstance(name, str):
                self.notes.append(f"{path.name}: left out an image without a name.")
                continue
            key = self.key_of(name, set_of(path))
            known = self.instances.setdefault(key, [])
            for one in items(entry):
                try:
                    known.append(instance_of(one, set_of(path)))
                except InputError as error:
                    self.problems.setdefault(key, []).append(f"annotations that cannot be used: {error} ({key})")

    def key_of(self, name: str, set_name: str) -> str:
        """Return the image that an annotation means: in a folder of its set's name if there are several of the name."""
        found = self.images.ending(name)
        own = [key for key in found if set_name in Path(key).parts]
        chosen = own or found
        if len(chosen) > 1:
            advice = "Evaluate the folder of one set at a time."
            raise InputError(expected(name, "one image of this name", ", ".join(chosen[:3]), advice))
        return chosen[0] if chosen else name


def is_tokbench(folder: Path) -> bool:
    """Whether there are annotation files of TokBench in a folder."""
    return folder.is_dir() and bool(annotation_files(folder))


def annotation_files(folder: Path) -> list[Path]:
    """Return the annotation files below a folder, in order."""
    return sorted([*folder.rglob("text_*.json"), *folder.rglob("face_meta.json")])


def set_of(path: Path) -> str:
    """Return the name of the set that an annotation file is of."""
    return "face" if path.stem == "face_meta" else path.stem.removeprefix("text_")


def entries(path: Path) -> list[Mapping[str, Any]]:
    """Return the images that an annotation file lists. Raises InputError where it is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(expected(str(path), "an annotation file of TokBench", reason_of(error))) from error
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        advice = "Result files are for 'regionloss aggregate'."
        raise InputError(expected(str(path), "a list of images", type(found).__name__, advice))
    return found


def items(entry: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the words and faces that an image's entry lists."""
    for name in ("annotations", "faces"):
        found = entry.get(name, [])
        yield from (one if isinstance(one, dict) else {} for one in (found if isinstance(found, list) else [{}]))


def instance_of(one: Mapping[str, Any], set_name: str) -> Instance:
    """Return a word or a face. Raises InputError where its numbers are none."""
    points = one.get("kps")
    kind = "text" if "rec" in one else "face"
    corners = numbers(one.get("bbox", one.get("box")), 4)
    text = one.get("rec")
    if kind == "text" and not isinstance(text, str):
        raise InputError(expected("rec", "a text", repr(text)[:40]))
    keypoints = None
    if points is not None:
        pairs = [numbers(pair, 2) for pair in (points if isinstance(points, list) else [points])]
        keypoints = tuple((x + CENTRE, y + CENTRE) for x, y in pairs)
    (ratio,) = numbers([one.get("ratio")], 1)
    x1, y1, x2, y2 = corners
    return Instance(kind, (x1, y1, x2, y2), ratio, text, keypoints, {SET: set_name})


def numbers(found: object, count: int) -> list[float]:
    """Return the first so many of a list of numbers. Raises InputError where they are none, or not finite."""
    values = list(found[:count]) if isinstance(found, list) else []
    real = [float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool) and abs(v) < 1e9]
    if len(real) != count or not all(map(math.isfinite, real)):
        raise InputError(expected("annotation", f"{count} finite numbers", repr(found)[:60]))
    return real
