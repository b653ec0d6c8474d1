"""What the formats share: boxes in pixels -> entries of rows, with a count of what is no box."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any

from ...errors import InputError, expected
from ..paths import file_system
from ..sidecars import Row, Scan, scanned_kinds, with_scan
from ..writing import write_whole

#: How many regions a file holds, and how much was left out, by reason.
Written = tuple[int, Counter[str]]


@dataclass
class Imported:
    """Rows of a side-car that were read from another format.

    Args:
        format: Its name.
        kinds: What was looked for in every image that says nothing else.
        rows: By key.
        dropped: How many entries were left out, by reason.

    Raises:
        InputError: A kind without name, or with a comma, which stands between kinds.
    """

    format: str
    kinds: Sequence[str]
    rows: dict[str, Row] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if not kind or "," in kind:
                raise InputError(expected("kind of region", "a name without commas", f"'{kind}'"))

    def image(self, key: str, width: int, height: int, kinds: Sequence[str] | None = None) -> Row:
        """Return the row of an image, a new one where there is none; images without regions have rows, too.

        Args:
            key: Of the image.
            width: Of the image as it was annotated, pixels.
            height: The same.
            kinds: What was looked for in it; None for all kinds.

        Raises:
            InputError: No size, or another one than the same image had before.
        """
        if width < 1 or height < 1:
            raise InputError(expected(f"image '{key}'", "its height and width in pixels", f"{height} x {width}"))
        looked = ",".join(sorted({*(self.kinds if kinds is None else kinds)}))
        scans = [asdict(Scan(self.format, kind=looked))] if looked else []
        new = {"key": key, "width": width, "height": height, "scans": scans, "regions": []}
        row = self.rows.setdefault(key, new)
        if sides(row) != (width, height):
            got = f"{height} x {width} and {row['height']} x {row['width']}"
            raise InputError(expected(f"image '{key}'", "one size", got, "Two images have this key: rename one."))
        return row

    def add(self, row: Row, kind: str, box: Sequence[float], **more: Any) -> None:
        """Add a region to a row; what is no box inside the image is counted instead.

        Args:
            row: Of the image.
            kind: Of the region.
            box: `x1, y1, x2, y2`, pixels.
            more: `keypoints` and `quad` in pixels, `score`, `text`.
        """
        size = sides(row)
        if len(box) != 4 or not all(isinstance(v, int | float) and math.isfinite(v) for v in box):
            self.dropped["not four numbers"] += 1
            return
        clipped = [min(max(float(value), 0.0), size[i % 2]) for i, value in enumerate(box)]
        if clipped[0] >= clipped[2] or clipped[1] >= clipped[3]:
            self.dropped["empty, inverted or outside the image"] += 1
            return
        points = {name: relative(more.get(name), size) for name in ("quad", "keypoints")}
        facts = {"score": float(more.get("score", 1.0)), "text": more.get("text"), "detector": self.format}
        row["regions"].append({"kind": kind, "box": relative(clipped, size), **points, **facts})


def sides(row: Row) -> tuple[int, int]:
    """Return the `(width, height)` that a row gives its image."""
    return row["width"], row["height"]


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


def key_of_file(name: str, keep_suffix: bool) -> str:
    """Return the key of an image file: its path, in a folder; without what follows the first dot, in a tar file."""
    path = PurePosixPath(name)
    return str(path) if keep_suffix else str(path.with_name(path.name.partition(".")[0]))


@contextmanager
def fields_of(path: str, what: str) -> Iterator[None]:
    """Turn what an entry without the fields of a format raises into a sentence."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except KeyError as error:
        raise InputError(expected(path, f"the fields of {what}", f"an entry without {error}")) from error
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(expected(path, f"the fields of {what}", f"others ({error})")) from error


def read_file(path: str) -> bytes:
    """Return a file's contents, local or not.

    Raises:
        InputError: There is none.
    """
    system, inner = file_system(path)
    try:
        contents: bytes = system.cat_file(inner)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise InputError(f"{path}: there is no such file.") from error
    return contents


def read_json(path: str) -> Any:
    """Read a JSON file, local or not.

    Raises:
        InputError: Not JSON.
    """
    contents = read_file(path)
    try:
        return json.loads(contents)
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(expected(path, "a JSON file", f"something else ({error})")) from error


def write_json(path: str, value: Any) -> None:
    """Write a JSON file whole, or not at all."""
    write_whole(path, (json.dumps(value, ensure_ascii=False) + "\n").encode())
