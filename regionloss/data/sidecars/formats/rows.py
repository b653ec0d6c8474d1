"""What the formats share: boxes in pixels -> entries of rows; what is no box is counted by its reason, and named."""

from __future__ import annotations

import json
import math
import reprlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from regionloss.data.shards.atomic import write_whole
from regionloss.data.shards.paths import file_system
from regionloss.data.sidecars.sidecar import Row, Scan, new_row, scanned_kinds, sides, with_scan
from regionloss.errors import InputError, expected, reason_of

#: How many regions a file holds, and how much was left out, by reason.
Written = tuple[int, Counter[str]]
#: Most names that are given for one reason.
MOST_NAMED = 3
SCORELESS, TEXTLESS = "scores that are no numbers, their regions have 1", "texts that are none, their regions are kept"
LARGEST, LARGEST_SIDE = float(np.finfo(np.float32).max), 2**31 - 1


@dataclass
class Imported:
    """Rows of a side-car that were read from another format.

    Args:
        format: Name of the format.
        kinds: What was looked for in every image that says nothing else.
        rows: Rows of the side-car, by the image's key.
        dropped: How many entries, or parts of them, were left out, by reason.
        first: The first names of what was, by reason.
        lost: Key and kind of each region that was left out; the key is empty where its image is left out, too.
        largest: Largest number of any box, pixels.

    Raises:
        InputError: A kind without name, or with a comma, which stands between kinds.
    """

    format: str
    kinds: Sequence[str]
    rows: dict[str, Row] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)
    first: dict[str, list[str]] = field(default_factory=dict)
    lost: dict[tuple[str, str], None] = field(default_factory=dict)
    largest: float = 0.0

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if not is_kind(kind):
                raise InputError(expected("kind of region", "a name without commas", repr(kind)))

    def image(self, key: Any, width: Any, height: Any, kinds: Sequence[str] | None = None) -> Row | None:
        """Return the row of an image, a new one where there is none; images without regions have rows, too.

        Args:
            key: Key of the image: the name of its file.
            width: Width of the image as it was annotated, in pixels.
            height: Height of the image as it was annotated, in pixels.
            kinds: Kinds of regions that were looked for in the image; None for all kinds.

        Returns:
            The row; None, and the image is counted, where it has no name or no size, or another size than before.
        """
        if not isinstance(key, str) or not key:
            self.drop("images without a name", reprlib.repr(key))
            return None
        key, size = str(PurePosixPath(plain(key))), (side(width), side(height))
        if size[0] is None or size[1] is None:
            self.drop("images without width and height in pixels", key)
            return None
        looked = ",".join(sorted({*(self.kinds if kinds is None else kinds)}))
        scans = [asdict(Scan(self.format, kind=looked))] if looked else []
        row = self.rows.setdefault(key, new_row(key, (size[0], size[1])) | {"scans": scans})
        if sides(row) != size:
            self.drop("images of which an entry before has another size", key)
            return None
        return row

    def add(self, row: Row, kind: str, box: Any, lacking: Sequence[str] = (), **more: Any) -> None:
        """Add a region to a row; what is no box inside the image is counted instead.

        Args:
            row: Row of the image.
            kind: Kind of the region.
            box: `x1, y1, x2, y2`, pixels; or eight numbers, an outline of four corners.
            lacking: What was left out of the region, to be counted where the region is kept.
            more: `keypoints` and `quad` in pixels, `score`, `text`.
        """
        size, values = sides(row), numbers(box)
        if values is not None and len(values) == 8:
            more, values = {"quad": values, **more}, extent([values])
        if values is None or len(values) != 4:
            self.lose("not four numbers", row["key"], kind)
            return
        self.largest = max(self.largest, *values)
        clipped = [min(max(value, 0.0), size[i % 2]) for i, value in enumerate(values)]
        if clipped[0] >= clipped[2] or clipped[1] >= clipped[3]:
            self.lose("empty, inverted or outside the image", row["key"], kind)
            return
        points = {name: relative(more.get(name), size) for name in ("quad", "keypoints")}
        score, text = number(1.0 if more.get("score") is None else more["score"]), more.get("text")
        odd = [SCORELESS] if score is None else []
        if text is not None and not isinstance(text, str | int | float):
            odd, text = [*odd, TEXTLESS], None
        for reason in (*lacking, *odd):
            self.drop(reason, row["key"])
        facts = {"score": 1.0 if score is None else score, "text": None if text is None else plain(str(text))}
        row["regions"].append(
            {"kind": kind, "box": relative(clipped, size), **points, **facts, "detector": self.format}
        )

    def drop(self, reason: str, name: str) -> None:
        """Count what is left out."""
        self.dropped[reason] += 1
        names = self.first.setdefault(reason, [])
        if name not in names and len(names) < MOST_NAMED:
            names.append(name)

    def lose(self, reason: str, name: str, kind: str = "") -> None:
        """Count a region that is left out; with a kind, the name is that of its image, in which one was found."""
        self.drop(reason, name)
        self.lost[name if kind else "", kind] = None

    def checked(self, path: str) -> Imported:
        """Return this without what it cannot say: that nothing of a kind is in an image whose regions were left out.

        Raises:
            InputError: Nothing is left, or the boxes of a file in pixels are shares; names the file.
        """
        for key, kind in (place for place in self.lost if place[1]):
            row = self.rows[key]
            if not any(region["kind"] == kind for region in row["regions"]):
                left = [one for one in scanned_kinds(row["scans"]) if one != kind]
                row["scans"] = [asdict(Scan(self.format, kind=",".join(left)))] if left else []
        for key in {key for key, kind in self.lost if kind and not self.rows[key]["scans"]}:
            del self.rows[key]
        regions = any(row["regions"] for row in self.rows.values())
        if not self.rows or (self.lost and not regions):
            wanted, got = f"regions in the form of {self.format}", "none that can be kept"
            raise InputError(expected(path, wanted, got, " ".join(self.sentences())))
        if regions and self.largest <= 1:
            raise InputError(expected(path, "boxes in pixels", "numbers from 0 to 1 alone", "Multiply them."))
        return self

    def sentences(self) -> list[str]:
        """Return a sentence for each reason for which something was left out."""
        told = []
        for reason, count in sorted(self.dropped.items()):
            names = ", ".join(f"'{name}'" for name in self.first[reason])
            told.append(f"Left out: {count}, {reason}. The first: {names}.")
        return told


def fields(entry: Any) -> Mapping[str, Any]:
    """Return the fields of an entry; none of one that has none."""
    return entry if isinstance(entry, Mapping) else {}


def is_kind(name: str) -> bool:
    """Whether a name can be a kind's: commas stand between kinds, and numpy drops a NUL at the end."""
    return bool(name) and not {",", "\0"} & set(name)


def number(value: Any) -> float | None:
    """Return a number that a side-car can hold; None for what is none, infinite, or too large."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST:
        return None
    return float(value)


def numbers(values: Any) -> list[float] | None:
    """Return a list of numbers; None where it is no list, or one of them is none."""
    found = [number(value) for value in values] if isinstance(values, list | tuple) else [None]
    known = [value for value in found if value is not None]
    return known if len(known) == len(found) else None


def coordinate(value: Any) -> float:
    """Return a number of a point; NaN, which is unknown, for what is none."""
    found = number(value)
    return math.nan if found is None else found


def side(value: Any) -> int | None:
    """Return a side in pixels, also of digits; None for what is none."""
    found = number(int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 12 else value)
    return int(found) if found is not None and 1 <= found <= LARGEST_SIDE else None


def plain(text: str) -> str:
    r"""Return text that any file holds: halves of characters are spelled out.

    Example:
        >>> plain("caf\udce9")
        'caf\\udce9'
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def extent(outlines: Sequence[Sequence[float]]) -> list[float]:
    """Return the box `x1, y1, x2, y2` around outlines `x, y, x, y, ...`."""
    across = [value for outline in outlines for value in outline[0::2]]
    down = [value for outline in outlines for value in outline[1::2]]
    return [min(across), min(down), max(across), max(down)]


def relative(values: Sequence[float] | None, size: tuple[int, int]) -> list[float] | None:
    """Return x, y, x, y, ... in pixels relative to an image of `size` (width, height)."""
    return None if values is None else [value / size[i % 2] for i, value in enumerate(values)]


def absolute(values: Sequence[float], row: Row) -> list[float]:
    """Return relative x, y, x, y, ... in the pixels of a row's image."""
    return [value * sides(row)[i % 2] for i, value in enumerate(values)]


def with_import(row: Row, imported: Row) -> Row:
    """Return a row in which what a format said of the imported kinds is replaced; all else stays."""
    for scan in imported["scans"]:
        kinds = set(scan["kind"].split(","))
        known = [one for one in row["scans"] if one["detector"] == scan["detector"]]
        kept = [r for r in row["regions"] if r["detector"] == scan["detector"] and r["kind"] not in kinds]
        whole = Scan(**scan | {"kind": ",".join(sorted(kinds.union(scanned_kinds(known))))})
        # By kind, so that the order of imports does not show.
        row = with_scan(row, whole, sorted([*kept, *imported["regions"]], key=lambda region: str(region["kind"])))
    return row


def read_file(path: str) -> bytes:
    """Return a file's contents, local or not.

    Raises:
        InputError: There is none, or it cannot be read.
    """
    try:
        system, inner = file_system(path)
        contents: bytes = system.cat_file(inner)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise InputError(f"{path}: there is no such file.") from error
    except (OSError, ValueError) as error:  # A path with a NUL is a ValueError.
        raise InputError(f"{path!r}: cannot be read ({reason_of(error)}).") from error
    return contents


def read_json(path: str) -> Any:
    """Read a JSON file, local or not.

    Raises:
        InputError: Not JSON, or nested too deeply, or with numbers of thousands of digits.
    """
    contents = read_file(path)
    try:
        return json.loads(contents)
    except RecursionError as error:
        raise InputError(expected(path, "a JSON file", "one that is nested too deeply")) from error
    except ValueError as error:
        reason = str(error).partition(";")[0]  # What follows is advice to programmers, of Python itself.
        raise InputError(expected(path, "a JSON file", f"something else ({reason})")) from error


def write_json(path: str, value: Any) -> None:
    """Write a JSON file whole, or not at all."""
    write_whole(path, (json.dumps(value, ensure_ascii=False) + "\n").encode())
