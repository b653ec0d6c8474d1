"""Pictures that are looked at when a run begins: those that installed packages bring, and the user's own folder."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path

from insighttok_ref.data import fonts
from insighttok_ref.data.photos import Photo, photos
from insighttok_ref.data.sources import shrunk
from regionloss.data.annotate import Annotated, NamedDetector, Tick, annotate, annotate_files, scan_of
from regionloss.data.batches import permutation
from regionloss.data.shards import list_images
from regionloss.data.sidecars import Scan
from regionloss.detectors import Detector
from regionloss.errors import InputError, expected
from regionloss.recipe import Loaded, Recipe, build_detector, detector_part

TEST_SHARE_OF_FOLDER = 0.1
#: Longest side at which detectors look at a picture, as `regionloss annotate` has it, pixels.
MAX_SIDE = 1600


def detectors_of(loaded: Loaded[Recipe]) -> dict[Scan, Detector]:
    """Build the detectors of a recipe's terms, by what side-cars say of each: the same as `regionloss annotate`."""
    found: dict[Scan, Detector] = {}
    for term, use in loaded.recipe.terms.items():
        part, detector = detector_part(use, loaded.catalogue), build_detector(loaded, term)
        if detector is not None:
            name = loaded.catalogue.find("detector", part.name, plugin=part.plugin).canonical
            found[scan_of(NamedDetector(name, part.options), detector, MAX_SIDE, loaded.catalogue)] = detector
    return found


def one_per_kind(detectors: Mapping[Scan, Detector]) -> dict[Scan, Detector]:
    """Return the first detector of each kind; whole images need none."""
    first: dict[str, tuple[Scan, Detector]] = {}
    for scan, detector in detectors.items():
        if detector.kind != "whole_image":
            first.setdefault(detector.kind, (scan, detector))
    return dict(first.values())


def portraits(use: str, size: int, detectors: list[Detector]) -> list[Annotated]:
    """Return face photographs with the faces found in them; without a detector they are pictures like others."""
    return [shrunk(annotate(Annotated(photo.name, photo.open(), {}), detectors), 8 * size) for photo in photos(use)]


def plain(chosen: list[Photo], size: int) -> list[Annotated]:
    """Return photographs that no detector looks at."""
    return [shrunk(Annotated(photo.name, photo.open(), {}), 4 * size) for photo in chosen]


def annotated_folder(
    root: Path,
    size: int,
    detectors: Mapping[Scan, Detector],
    *,
    most: int,
    test: bool,
    sidecar: Path | None,
    tick: Tick,
) -> tuple[dict[str, list[Annotated]], tuple[str, ...]]:
    """Return a folder's pictures with what detectors find in them, by use (`train`, `test`), and notes.

    Args:
        root: Folder of the images.
        size: Side of the images that are cut from them, pixels.
        detectors: Detectors by what side-cars say of each, one of a kind.
        most: Most files that are used.
        test: Whether a tenth of the pictures (one at least) is kept for the test.
        sidecar: Where regions are kept, for the next time.
        tick: Told how many files are done, of how many.

    Raises:
        InputError: The folder is missing or holds too few images that can be read.
    """
    paths = list_images(root)
    chosen = [paths[i] for i in permutation(0, "folder", length=len(paths))[:most]]
    shrink: Callable[[Annotated], Annotated] = partial(shrunk, shortest=4 * size)
    pictures, skipped = annotate_files(chosen, root, detectors, sidecar, max_side=MAX_SIDE, shrink=shrink, tick=tick)
    if len(pictures) < 1 + test:
        reasons = " ".join(skipped.values())
        wanted = "two images at least" if test else "one image at least"
        raise InputError(expected(f"images ('{root}')", wanted, f"{len(pictures)}", reasons))
    cut = max(1, round(TEST_SHARE_OF_FOLDER * len(pictures))) if test else 0
    notes = [f"{root}: {len(pictures)} images used, {cut} of them for testing only."]
    if len(paths) > len(chosen):
        notes.append(f"{len(paths) - len(chosen)} more were left aside (max_files={most}).")
    notes += [f"Skipped: {reason}" for reason in skipped.values()]
    return {"train": pictures[cut:], "test": pictures[:cut]}, tuple(notes)


def rights(languages: Collection[str] = ()) -> tuple[tuple[str, str], ...]:
    """Return what the images are made of, with the rights in each part.

    Args:
        languages: Languages of which words are drawn, besides English.
    """
    eastern = fonts.EASTERN_FONTS if set(languages) & set(fonts.EASTERN) else ()
    assets = (*fonts.FONTS, *eastern, fonts.WORDS)
    drawn = [(f"{asset.summary} ({asset.package})", asset.licence) for asset in assets]
    uses = ("train", "test", "train face", "test face")
    shown = [(f"photograph '{p.name}' ({p.home[0]}, {p.use})", p.rights) for use in uses for p in photos(use)]
    return tuple(drawn + shown)
