"""The user's folder: looked at once, shown, and cut into crops for training and for the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from insighttok_ref.data.build import Opened, TrainingData
from insighttok_ref.data.packaged import annotated_folder, one_per_kind
from insighttok_ref.data.sources import CropSource
from insighttok_ref.data.split import kinds_of, rare_first
from insighttok_ref.trainers.finetune.options import SOURCE, FolderOptions
from regionloss.console import Progress
from regionloss.data.annotate import Annotated
from regionloss.data.images import FlipPairs, cropped
from regionloss.data.shards import write_whole
from regionloss.data.sidecars import Scan
from regionloss.detectors import Detector
from regionloss.errors import InputError, expected, reason_of
from regionloss.pictures import annotated, save, sheet

#: Pictures on the sheet; the longest side up to which small ones are enlarged there, and that of large ones, pixels.
SHOWN, SIDE, LARGEST = 16, 480, 640
COLOURS = ("#ff3b30", "#34c759", "#0a84ff", "#ffcc00", "#bf5af2", "#ff9f0a")


class Looked(NamedTuple):
    """What became of a folder: data to train on, and how many regions its training images have, by kind."""

    data: TrainingData
    pictures: int
    regions: Counter[str]


def look(
    options: FolderOptions,
    detectors: Mapping[Scan, Detector],
    flip_pairs: FlipPairs,
    folder: Path,
    say: Callable[[str], None] = lambda sentence: None,
    *,
    draw: bool = True,
    needed: bool = True,
) -> Looked:
    """Return what is trained on and tested with.

    Args:
        options: The folder and what is made of it.
        detectors: Detectors by what side-cars say of each; the first of each kind looks.
        flip_pairs: Keypoints that swap in a mirror image, by kind.
        folder: Folder of the run: the regions are kept there for the next time, and a sheet of what was found.
        say: Told what is looked for, before it takes long.
        draw: Whether to draw that sheet.
        needed: Whether terms are computed, and need regions.

    Raises:
        InputError: The folder is missing, holds no images, none as large as a crop, or no regions that are needed.
    """
    data, size = options.as_data(), options.image_size
    sidecar, picture = folder / f"{SOURCE}.regions.parquet", folder / "regions.png"
    if options.regions is not None and not sidecar.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(str(sidecar), read_file(options.regions))
    looking = one_per_kind(detectors)
    if looking:
        kinds = " and ".join(sorted(repr(one.kind) for one in looking.values()))
        say(f"looking for regions of kind {kinds} in {options.images}, once: {folder} keeps what is found")
    tick = Progress("files that are looked at")
    with tick if draw else nullcontext():
        found, notes = annotated_folder(
            Path(str(options.images)),
            size,
            looking,
            most=options.max_files,
            test=bool(options.test),
            sidecar=sidecar,
            tick=tick,
            enlarge=False,
        )
    make = partial(CropSource, SOURCE)
    train = partial(make, found["train"], flip_pairs=flip_pairs)
    opened = Opened(train, partial(make, found["test"]) if options.test else None, notes)
    counts: Counter[str] = Counter()
    for one in found["train"]:
        counts.update({kind: len(regions) for kind, regions in one.regions.items()})
    if draw:
        save(sheet_of(found["train"]), picture)
        told = ", ".join(f"{counts[one.kind]} of kind '{one.kind}'" for one in looking.values()) or "none looked for"
        notes = (*notes, f"regions: {told}; see {picture}")
    if needed and looking and not counts.total():
        kinds = " and ".join(sorted(one.kind for one in looking.values()))
        got = f"none of kind {kinds} in {len(found['train'])} images"
        advice = "Say terms={} to tune without terms, or another term: terms.hands=auto."
        raise InputError(expected(f"data.images ('{options.images}')", "regions for the terms", got, advice))
    return Looked(TrainingData(data, {SOURCE: opened}, notes), len(found["train"]), counts)


def read_file(path: Path) -> bytes:
    """Return a file's contents. Raises InputError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            expected("data.regions", "a side-car that can be read", f"'{path}': {reason_of(error)}")
        ) from error


def sheet_of(pictures: Sequence[Annotated]) -> Image.Image:
    """Return a sheet of pictures with their regions, a colour a kind: in turns one of each kind, the rarest first."""
    chosen = [pictures[i] for i in rare_first([kinds_of(one) for one in pictures])[:SHOWN]]
    kinds = sorted({kind for one in pictures for kind in one.regions})
    drawn = []
    for one in chosen:
        width, height = one.image.size
        # Labels would cover what is small, and could not be read where the sheet makes what is large smaller.
        factor = max(1, SIDE // max(width, height)) * min(1.0, LARGEST / max(width, height))
        size = max(1, round(factor * height)), max(1, round(factor * width))
        image, found = cropped(one.image, one.regions, (0, 0, height, width), size)
        for kind, colour in zip(kinds, COLOURS * len(kinds), strict=False):
            if kind in found and len(found[kind]):
                image = annotated(image, found[kind], [kind] * len(found[kind]), colour)
        drawn.append(image)
    return sheet(drawn, [one.name for one in chosen])
