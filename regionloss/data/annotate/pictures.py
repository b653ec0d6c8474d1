"""Pictures -> pictures with regions: detectors run once on each file, and what they found is kept in a side-car."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from PIL import Image

from regionloss.data.images.files import read_image, to_tensor
from regionloss.data.sidecars.entries import kind_regions
from regionloss.data.sidecars.sidecar import Row, Scan, Sidecar, read_sidecar, with_scan, write_sidecar
from regionloss.detectors.base import Detector
from regionloss.errors import InputError
from regionloss.regions import geometry
from regionloss.regions.regions import Regions

Tick = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Annotated:
    """A picture, RGB, with the regions found in it; a kind that is absent was not looked for."""

    name: str
    image: Image.Image
    regions: Mapping[str, Regions]


@dataclass
class Annotations:
    """Rows of a side-car by key, and marks by which a changed file is known; `save` writes the whole side-car."""

    path: Path | None = None
    rows: dict[str, Row] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path | None) -> Annotations:
        """Read a side-car; a new one where there is none, or none that can be read."""
        if path is not None and path.is_file():
            with suppress(InputError):
                known = read_sidecar(str(path))
                return cls(path, {row["key"]: row for row in known.rows()}, dict(known.files))
        return cls(path)

    def of(self, key: str, path: Path, image: Image.Image) -> Row:
        """Return the row of a file; a new one where there is none, or the file has changed."""
        mark = signature(path)
        if key not in self.rows or self.files.get(key) != mark:
            self.rows[key] = {"key": key, "width": image.width, "height": image.height, "scans": [], "regions": []}
            self.files[key] = mark
        return self.rows[key]

    def save(self) -> None:
        """Write all rows."""
        if self.path is not None:
            write_sidecar(str(self.path), Sidecar.of(self.rows.values(), files=self.files))


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
        paths: Paths of the image files.
        root: Their folder; a file's key is its path from there.
        detectors: Detectors by name.
        sidecar: File in which results are kept: image files that did not change are not looked at again.
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
            known.rows[key] = scanned(known.of(key, path, image), image, detectors, max_side)
            pictures.append(shrink(Annotated(key, image, to_regions(known.rows[key], image.size, detectors))))
            if done % 20 == 0:
                known.save()
        tick(done, len(paths))
    known.save()
    return pictures, skipped


def annotate(picture: Annotated, detectors: Iterable[Detector], max_side: int = 1600) -> Annotated:
    """Return a picture with what the detectors find in it.

    Args:
        picture: An RGB image.
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
    from regionloss.regions.collation import join

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
    return geometry.resize(detector.detect(to_tensor([seen])), (height, width))


def signature(path: Path) -> str:
    """Return what tells that a file has changed: size and time of the last change."""
    status = path.stat()
    return f"{status.st_size}-{status.st_mtime_ns}"


def scanned(row: Row, image: Image.Image, detectors: Mapping[str, Detector], max_side: int) -> Row:
    """Return a row to which the detectors that had not looked yet have added what they find."""
    for name, detector in detectors.items():
        options = json.dumps({"max_side": max_side})
        scan = Scan(name, str(getattr(detector, "version", "")), options=options, kind=detector.kind)
        if asdict(scan) not in row["scans"]:
            row = with_scan(row, scan, relative(look(detector, image, max_side), name))
    return row


def relative(regions: Regions, detector: str) -> list[Row]:
    """Return regions of one image as entries of its row: boxes and keypoints relative to the image."""
    height, width = regions.image_size
    size = torch.tensor([width, height])
    boxes = (regions.boxes / size.repeat(2)).tolist()
    points = [None] * len(boxes) if regions.keypoints is None else (regions.keypoints / size).flatten(1).tolist()
    scores = [1.0] * len(boxes) if regions.scores is None else regions.scores.tolist()
    texts = [None] * len(boxes) if regions.texts is None else list(regions.texts)
    found = zip(boxes, points, scores, texts, strict=True)
    return [
        {"kind": regions.kind, "box": box, "quad": None, "keypoints": where, "score": score, "text": text}
        | {"detector": detector}
        for box, where, score, text in found
    ]


def to_regions(row: Row, size: tuple[int, int], detectors: Mapping[str, Detector]) -> dict[str, Regions]:
    """Return the regions of a row in pixels, those of these detectors, by kind.

    Args:
        row: A row of a side-car.
        size: `(width, height)` of the image, pixels.
        detectors: Detectors whose regions are wanted.
    """
    kinds = sorted({detector.kind for detector in detectors.values()})
    mine = [entry for entry in row["regions"] if entry["detector"] in detectors]
    return {kind: kind_regions(kind, [e for e in mine if e["kind"] == kind], size) for kind in kinds}
