"""Pictures -> pictures with regions: detectors run once on each file, and what they found is kept in a side-car."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from PIL import Image

from regionloss.console.tables import counted
from regionloss.data.annotate.decode import shown_size
from regionloss.data.images.files import read_image, to_tensor
from regionloss.data.shards.shards import Tick
from regionloss.data.shards.source import mark_of_file
from regionloss.data.sidecars.entries import entries_of, row_regions
from regionloss.data.sidecars.recovery import keep_copy
from regionloss.data.sidecars.sidecar import AGAIN, Row, Scan, Sidecar, new_row, read_sidecar, with_scan, write_sidecar
from regionloss.detectors.base import Detector
from regionloss.errors import InputError
from regionloss.regions import Regions, geometry, join

#: Least time between two savings, in seconds, and the most of all time that they may take.
SECONDS, SHARE = 5.0, 0.05
Detectors = Mapping[Scan, Detector] | Mapping[str, Detector]


@dataclass(frozen=True, eq=False)
class Annotated:
    """A picture, RGB, with the regions found in it; a kind that is absent was not looked for."""

    name: str
    image: Image.Image
    regions: Mapping[str, Regions]


@dataclass
class Annotations:
    """Rows of a side-car by key, and marks by which a changed file is known; `save` writes the whole side-car.

    `told` says what became of one that cannot be read.
    """

    path: Path | None = None
    rows: dict[str, Row] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    told: str = ""
    saved: float = field(default_factory=time.monotonic, repr=False)
    took: float = field(default=0.0, repr=False)

    @classmethod
    def load(cls, path: Path | None) -> Annotations:
        """Read a side-car; a new one where there is none, or none that can be read: of that a copy is kept."""
        if path is None or not path.is_file():
            return cls(path)
        try:
            known = read_sidecar(str(path))
        except InputError as error:
            reason = str(error).removesuffix(AGAIN).rstrip(". ")
            kept = f"It is kept as {keep_copy(str(path))}, and what it says of these images is found anew."
            return cls(path, told=f"{reason}. {kept}")
        return cls(path, {row["key"]: row for row in known.rows()}, dict(known.files))

    def of(self, key: str, path: Path, image: Image.Image) -> Row:
        """Return the row of a file; a new one where there is none, or the file has changed."""
        mark = mark_of_file(str(path))
        if key not in self.rows or self.files.get(key) != mark:
            self.rows[key], self.files[key] = new_row(key, image.size), mark
        return self.rows[key]

    def save(self) -> None:
        """Write all rows."""
        began = time.monotonic()
        if self.path is not None:
            write_sidecar(str(self.path), Sidecar.of(self.rows.values(), files=self.files))
        self.saved = time.monotonic()
        self.took = self.saved - began

    def save_now_and_then(self) -> None:
        """Write all rows, unless that was done a short while ago: the larger the side-car, the longer that is."""
        if time.monotonic() - self.saved >= max(SECONDS, self.took / SHARE):
            self.save()


def annotate_files(
    paths: Sequence[Path],
    root: Path,
    detectors: Detectors,
    sidecar: Path | None = None,
    *,
    max_side: int = 1600,
    shrink: Callable[[Annotated], Annotated] = lambda picture: picture,
    tick: Tick = lambda done, of: None,
) -> tuple[list[Annotated], dict[str, str]]:
    """Return pictures with their regions; what cannot be used is named, by file, with the reason, and not raised.

    A side-car that cannot be read is such a file, too: a copy of it is kept.

    Args:
        paths: Paths of the image files.
        root: Their folder; a file's key is its path from there.
        detectors: Detectors by what the side-car says about each (see `scan_of`), or by name alone.
        sidecar: Where results are kept: files that did not change are not looked at again.
        max_side: Longest side at which a detector looks at an image, pixels.
        shrink: Applied to each picture before it is kept in memory.
        tick: Told how many files are done, of how many.
    """
    known, pictures = Annotations.load(sidecar), []
    skipped = {str(sidecar): known.told} if known.told else {}
    looking = scans_of(detectors, max_side)
    for done, path in enumerate(paths, 1):
        key = path.relative_to(root).as_posix()
        try:
            image = read_image(path)
        except InputError as error:
            skipped[key] = str(error)
        else:
            known.rows[key] = scanned(known.of(key, path, image), image, looking, max_side)
            regions, invalid = to_regions(known.rows[key], image.size, looking)
            if invalid:
                skipped[key] = f"{key}: {counted(invalid.total(), 'region')} of {sidecar}, no box inside the image."
            pictures.append(shrink(Annotated(key, image, regions)))
            known.save_now_and_then()
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
            regions[found.kind] = added(regions[found.kind], found)
    return Annotated(picture.name, picture.image, regions)


def added(first: Regions, second: Regions) -> Regions:
    """Return two detectors' regions of one image."""
    both = join([first, second], first.kind, first.image_size)
    return both.changed(image_index=torch.zeros_like(both.image_index), num_images=1).laid_out()


def look(detector: Detector, image: Image.Image, max_side: int) -> Regions:
    """Return what a detector finds in one image, in the image's own pixels."""
    small = shown_size(image.size, max_side)
    seen = image if small == image.size else image.resize(small, Image.Resampling.BICUBIC, reducing_gap=3.0)
    return geometry.resize(detector.detect(to_tensor([seen])), (image.height, image.width))


def scanned(row: Row, image: Image.Image, detectors: Mapping[Scan, Detector], max_side: int) -> Row:
    """Return a row to which the detectors that had not looked yet have added what they find."""
    for scan, detector in detectors.items():
        if asdict(scan) not in row["scans"]:
            (found,) = entries_of(look(detector, image, max_side), scan.detector, [image.size])
            row = with_scan(row, scan, found.rows)
    return row


def scans_of(detectors: Detectors, max_side: int) -> dict[Scan, Detector]:
    """Return detectors by what side-cars say about each; of one that has a name alone, what it says itself."""
    options = json.dumps({"max_side": max_side})
    return {
        name
        if isinstance(name, Scan)
        else Scan(name, str(getattr(detector, "version", "")), options=options, kind=detector.kind): detector
        for name, detector in detectors.items()
    }


def to_regions(
    row: Row, size: tuple[int, int], detectors: Mapping[Scan, Detector]
) -> tuple[dict[str, Regions], Counter[str]]:
    """Return the regions of a row in pixels, those of these detectors, by kind; and how many are no boxes.

    Args:
        row: A row of a side-car.
        size: `(width, height)` of the image, pixels.
        detectors: Detectors whose regions are wanted.
    """
    names = {scan.detector for scan in detectors}
    mine = [entry for entry in row["regions"] if entry["detector"] in names]
    return row_regions(row | {"regions": mine}, size, {detector.kind for detector in detectors.values()})
