"""Images of folders and tar files as originals, with the regions that stand beside them in side-cars."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regionloss.data.images.files import MOST_PIXELS, decoded, open_image, to_tensor
from regionloss.data.shards.paths import printable
from regionloss.data.shards.shards import FolderShard, ShardSet, TarShard, find_shards
from regionloss.data.shards.source import marks_of
from regionloss.data.shards.tar_index import mark_of
from regionloss.data.sidecars.lookup import Sidecars, check_found
from regionloss.errors import InputError, expected, reason_of
from regionloss.evaluation.pairs.columns import Columns
from regionloss.evaluation.pairs.pair import Instance, Original
from regionloss.regions import quads as shapes
from regionloss.regions.regions import Regions


class ImageFiles:
    """Images of folders and tar files, in the order of their names.

    Args:
        paths: Folders, tar files, or patterns of them.
        regions: Folder of side-cars that `regionloss annotate` has written; None looks for them beside the images.
        columns: Other columns of images, for groups.
        name: What tables call the set; None takes the first path's name.
        max_pixels: Most pixels of an image that is decoded.

    Raises:
        InputError: Nothing is there, or the side-cars or all columns are of other images.
    """

    def __init__(
        self,
        paths: Sequence[str],
        regions: str | None = None,
        columns: Columns | None = None,
        name: str | None = None,
        max_pixels: int = MOST_PIXELS,
    ) -> None:
        self.shards = find_shards(list(paths))
        self.name = name or base_of(self.shards[0]).partition(".tar")[0]
        self.columns, self.max_pixels = columns or Columns(), max_pixels
        known = ShardSet(self.shards)
        self.notes = list(known.problems)
        self.sidecars = sidecars_of(self.shards, known, regions, self.notes)
        several = len(self.shards) > 1
        self.places: dict[str, tuple[TarShard | FolderShard, int]] = {}
        for shard in self.shards:
            prefix = f"{base_of(shard)}/" if several else ""
            for number, key in enumerate(shard.keys()):
                if self.places.setdefault(prefix + key, (shard, number)) != (shard, number):
                    advice = "Evaluate them one after the other."
                    raise InputError(expected(shard.path, "images with names of their own", f"'{key}' twice", advice))
        self.notes += self.columns.notes(self.places)

    @property
    def identity(self) -> str:
        """What changes where the images, their regions or their columns do."""
        facts = hashlib.sha256()
        for shard in self.shards:
            marks = marks_of(shard.path) if isinstance(shard, FolderShard) else mark_of(shard.path)
            facts.update(repr((base_of(shard), marks)).encode("utf-8", "backslashreplace"))
            rows = None if self.sidecars is None else self.sidecars.rows(shard.path)
            if rows is not None:
                if np.isfinite(rows.quads).any():
                    facts.update(rows.quads.tobytes())
                facts.update(rows.boxes.tobytes() + repr(rows.texts).encode("utf-8", "backslashreplace"))
        facts.update(self.columns.identity.encode())
        return facts.hexdigest()

    def names(self) -> list[str]:
        """Return the names of all images, in order."""
        return sorted(self.places)

    def read(self, key: str) -> Original:
        """Return one of them. Raises InputError where it cannot be read."""
        shard, number = self.places[key]
        image = self.pixels(shard, number, key)
        size = (image.shape[2], image.shape[1])
        instances: list[Instance] = []
        problems: list[str] = []
        if self.sidecars is not None:
            own = shard.keys()[number]
            joined = self.sidecars(shard.path, own, size)
            problems = [
                f"regions that are no boxes in their image: {count} of {reason} in {key}"
                for reason, count in joined.dropped.items()
            ]
            for regions in joined.regions.values():
                instances += instances_of(
                    regions, [self.columns.of(key, len(instances) + i) for i in range(len(regions))]
                )
        owner = self.columns.owners.get(key, "")
        return Original(key, image, tuple(instances), self.columns.of(key), tuple(problems), owner)

    def pixels(self, shard: TarShard | FolderShard, number: int, key: str) -> Tensor:
        """Return an image (3, H, W). Raises InputError where it cannot be read."""
        try:
            contents = shard.read(number)
        except OSError as error:
            raise InputError(f"unreadable images: {key} ({reason_of(error)})") from error
        try:
            return to_tensor([decoded(open_image(contents, key), key, max_pixels=self.max_pixels).image])[0]
        except InputError as error:
            raise InputError(f"unreadable images: {error}") from error


def base_of(shard: TarShard | FolderShard) -> str:
    """Return the last part of a shard's path or address."""
    return printable(shard.path.rstrip("/").rpartition("/")[2])


def sidecars_of(
    shards: Sequence[TarShard | FolderShard], known: ShardSet, folder: str | None, notes: list[str]
) -> Sidecars | None:
    """Return the side-cars of shards, from a folder or from beside them; None where nobody asked and none are there."""
    paths = [shard.path for shard in shards]
    try:
        notes += check_found(folder or "", paths, known.heads)
    except InputError:
        if folder is not None:
            raise
        notes.append("No side-cars beside the images: no regions are judged. 'regionloss annotate' makes them.")
        return None
    return Sidecars(folder or "")


def instances_of(regions: Regions, columns: Sequence[Mapping[str, str]]) -> list[Instance]:
    """Return the regions of one image as instances.

    Args:
        regions: Regions of one kind in one image.
        columns: Columns of each.
    """
    points: list[Any] = [None] * len(regions) if regions.keypoints is None else regions.keypoints.tolist()
    texts: Sequence[str | None] = regions.texts or [None] * len(regions)
    boxes = regions.boxes
    quads = torch.full((len(boxes), 4, 2), torch.nan) if regions.quads is None else regions.quads
    askew = shapes.known(quads)
    extents = torch.where(
        askew[:, None], shapes.sides(shapes.lying(quads, shapes.TALL)[0]), boxes[:, 2:] - boxes[:, :2]
    )
    found = zip(boxes.tolist(), extents.tolist(), texts, points, columns, quads.tolist(), askew.tolist(), strict=True)
    return [
        Instance(
            regions.kind,
            (x1, y1, x2, y2),
            share(regions.kind, extent, regions.image_size, text),
            text or None,
            None if keypoints is None else tuple((x, y) for x, y in keypoints),
            own,
            tuple((x, y) for x, y in quad) if turned else None,
        )
        for (x1, y1, x2, y2), extent, text, keypoints, own, quad, turned in found
    ]


def share(kind: str, extent: Sequence[float], image_size: tuple[int, int], text: str | None) -> float:
    """Return an instance's size as TokBench counts it: a share of the image's longest side, for texts of a character.

    Where nobody transcribed a text, a character is taken to be half as wide as the text is high.

    Args:
        kind: Kind of the region.
        extent: Its width and height as read, pixels.
        image_size: `(H, W)` of the image, pixels.
        text: Transcription, where there is one.
    """
    width, height = extent
    if kind != "text":
        return max(width, height) / max(image_size)
    return width / (len(text) if text else max(1, round(2 * width / height))) / max(image_size)
