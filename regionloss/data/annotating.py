"""Pictures -> pictures with regions: detectors run once on each file, and what they found is kept in a side-car.

The side-car is a file of JSON lines with the fields of the Parquet side-car (one row an image, boxes relative to it);
scanned and nothing found is an empty list, never scanned is no entry among the scans.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from .. import region_ops
from ..detectors.base import Detector
from ..errors import InputError
from ..regions import Regions
from .images import read_image, to_tensor

SIDECAR_VERSION = 1
Tick = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Annotated:
    """A picture, RGB, with the regions found in it; a kind that is absent was not looked for."""

    name: str
    image: Image.Image
    regions: Mapping[str, Regions]


@dataclass
class Annotations:
    """Rows of a side-car, by key; written anew (temporary name, rename) each time it is saved."""

    path: Path | None = None
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path | None) -> Annotations:
        """Read a side-car; a new one where there is none. Lines that a crash cut off are passed over."""
        found = cls(path)
        if path is not None and path.is_file():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    row = json.loads(line)
                    if row["version"] == SIDECAR_VERSION:
                        found.rows[row["key"]] = row
                except (json.JSONDecodeError, KeyError, TypeError):
                    continue
        return found

    def save(self) -> None:
        """Write all rows."""
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            temporary = self.path.with_suffix(".tmp")
            temporary.write_text("".join(json.dumps(row) + "\n" for row in self.rows.values()), encoding="utf-8")
            temporary.replace(self.path)


def annotate_files(
    paths: Sequence[Path],
    root: Path,
    detectors: Mapping[str, Detector],
    sidecar: Path | None = None,
    *,
    max_side: int = 1600,
    shrink: Callable[[Annotated], Annotated] = lambda picture: picture,
    tick: Tick = lambda done, of: None,
) -> tuple[list[Annotated], dict[str, str]]:
    """Return pictures with their regions; each file that cannot be read is named with the reason, not raised.

    Args:
        paths: Image files.
        root: Their folder; a file's key is its path from there.
        detectors: Detectors by name.
        sidecar: Where results are kept: files that did not change are not looked at again.
        max_side: Longest side at which a detector looks at an image, pixels.
        shrink: Applied to each picture before it is kept in memory.
        tick: Told how many files are done, of how many.
    """
    known, pictures, skipped = Annotations.load(sidecar), [], {}
    for done, path in enumerate(paths, 1):
        key = path.relative_to(root).as_posix()
        try:
            image = read_image(path)
        except InputError as error:
            skipped[key] = str(error)
        else:
            row = known.rows.get(key)
            row = row if row and row["file"] == signature(path) else new_row(key, path, image)
            known.rows[key] = scanned(row, image, detectors, max_side)
            pictures.append(shrink(Annotated(key, image, to_regions(known.rows[key], image.size, detectors))))
            if done % 20 == 0:
                known.save()
        tick(done, len(paths))
    known.save()
    return pictures, skipped


def annotate(picture: Annotated, detectors: Iterable[Detector], max_side: int = 1600) -> Annotated:
    """Return a picture with what the detectors find in it.

    Args:
        picture: RGB.
        detectors: One or more of them; two of one kind add up.
        max_side: Longest side at which they look, pixels.
    """
    regions = dict(picture.regions)
    for detector in detectors:
        found = look(detector, picture.image, max_side)
        if found.kind not in regions:
            regions[found.kind] = found
        elif len(found):
            regions[found.kind] = both(regions[found.kind], found)
    return Annotated(picture.name, picture.image, regions)


def both(first: Regions, second: Regions) -> Regions:
    """Return two detectors' regions of one image."""
    from ..collation import join

    joined = join([first, second], first.kind)
    return Regions(
        joined.kind,
        joined.boxes,
        torch.zeros_like(joined.image_index),
        joined.image_size,
        1,
        keypoints=joined.keypoints,
        scores=joined.scores,
        texts=joined.texts,
    )


def look(detector: Detector, image: Image.Image, max_side: int) -> Regions:
    """Return what a detector finds in one image, in the image's own pixels."""
    width, height = image.size
    ratio = min(1.0, max_side / max(width, height))
    small = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    seen = image if small == image.size else image.resize(small, Image.Resampling.BICUBIC, reducing_gap=3.0)
    return region_ops.resize(detector.detect(to_tensor([seen])), (height, width))


def signature(path: Path) -> list[int]:
    """Return what tells that a file has changed: size and time of the last change."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def new_row(key: str, path: Path, image: Image.Image) -> dict[str, Any]:
    """Return the row of a file that nothing has looked at yet."""
    return {
        "version": SIDECAR_VERSION,
        "key": key,
        "file": signature(path),
        "width": image.width,
        "height": image.height,
        "scans": [],
        "regions": [],
    }


def scanned(
    row: dict[str, Any], image: Image.Image, detectors: Mapping[str, Detector], max_side: int
) -> dict[str, Any]:
    """Return a row to which the detectors that had not looked yet have added what they find."""
    for name, detector in detectors.items():
        version = str(getattr(detector, "version", ""))
        scan = {"detector": name, "kind": detector.kind, "version": version, "max_side": max_side}
        if scan in row["scans"]:
            continue
        found = relative(look(detector, image, max_side), name)
        row = row | {
            "scans": [s for s in row["scans"] if s["detector"] != name] + [scan],
            "regions": [r for r in row["regions"] if r["detector"] != name] + found,
        }
    return row


def relative(regions: Regions, detector: str) -> list[dict[str, Any]]:
    """Return regions of one image as entries of its row: boxes and keypoints relative to the image."""
    height, width = regions.image_size
    size = torch.tensor([width, height])
    rows = []
    for i, box in enumerate((regions.boxes / size.repeat(2)).tolist()):
        entry: dict[str, Any] = {"kind": regions.kind, "box": box, "detector": detector}
        if regions.keypoints is not None:
            points = (regions.keypoints[i] / size).tolist()
            entry["keypoints"] = [None if v != v else v for point in points for v in point]
        entry["score"] = 1.0 if regions.scores is None else float(regions.scores[i])
        entry["text"] = None if regions.texts is None else regions.texts[i]
        rows.append(entry)
    return rows


def to_regions(row: Mapping[str, Any], size: tuple[int, int], detectors: Mapping[str, Detector]) -> dict[str, Regions]:
    """Return the regions of a row in pixels, those of these detectors, by kind.

    Args:
        row: A row of a side-car.
        size: `(width, height)` of the image, pixels.
        detectors: Whose regions are wanted.
    """
    kinds = sorted({detector.kind for detector in detectors.values()})
    mine = [entry for entry in row["regions"] if entry["detector"] in detectors]
    return {kind: kind_regions(kind, [e for e in mine if e["kind"] == kind], size) for kind in kinds}


def kind_regions(kind: str, entries: Sequence[Mapping[str, Any]], size: tuple[int, int]) -> Regions:
    """Return the entries of one kind as regions of one image of `size` (width, height)."""
    scale, count = torch.tensor(size, dtype=torch.float32), len(entries)
    points = [[float("nan") if v is None else v for v in e["keypoints"]] for e in entries if e.get("keypoints")]
    keypoints = torch.tensor(points).reshape(count, -1, 2) * scale if points and len(points) == count else None
    texts = tuple(e.get("text") or "" for e in entries)
    return Regions(
        kind,
        torch.tensor([e["box"] for e in entries], dtype=torch.float32).reshape(-1, 4) * scale.repeat(2),
        torch.zeros(count, dtype=torch.int64),
        (size[1], size[0]),
        1,
        keypoints=keypoints,
        scores=torch.tensor([e["score"] for e in entries], dtype=torch.float32),
        texts=texts if any(texts) else None,
    )
