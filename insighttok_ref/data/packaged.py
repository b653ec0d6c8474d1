"""Pictures that are looked at when a run begins: those that installed packages bring, and the user's own folder."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path

from insighttok_ref.data import fonts
from insighttok_ref.data.photos import Photo, photos
from insighttok_ref.data.sources import shrunk
from insighttok_ref.data.split import held_out, kinds_of
from regionloss.data.annotate import Annotated, NamedDetector, Tick, annotate, annotate_files, scan_of
from regionloss.data.batches import permutation
from regionloss.data.shards import list_images
from regionloss.data.sidecars import Scan
from regionloss.detectors import Detector
from regionloss.errors import InputError, expected
from regionloss.recipe import Loaded, Recipe, build_detector, detector_part

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
    enlarge: bool = True,
) -> tuple[dict[str, list[Annotated]], tuple[str, ...]]:
    """Return a folder's pictures with what detectors find in them, by use (`train`, `test`), and notes.

    Args:
        root: Folder of the images.
        size: Side of the images that are cut from them, pixels.
        detectors: Detectors by what side-cars say of each, one of a kind.
        most: Most files that are used.
        test: Whether a tenth of the pictures (one at least) is kept for the test, every kind of region among them.
        sidecar: Where regions are kept, for the next time.
        tick: Told how many files are done, of how many.
        enlarge: Whether pictures that are smaller than the images are used, too.

    Raises:
        InputError: The folder is missing or holds too few images that can be read, or that are large enough.
    """
    paths = list_images(root)
    chosen = [paths[i] for i in permutation(0, "folder", length=len(paths))[:most]]
    shrink: Callable[[Annotated], Annotated] = partial(shrunk, shortest=4 * size)
    pictures, skipped = annotate_files(chosen, root, detectors, sidecar, max_side=MAX_SIDE, shrink=shrink, tick=tick)
    if len(pictures) < 1 + test:
        reasons = " ".join(skipped.values())
        wanted = "two images at least" if test else "one image at least"
        raise InputError(expected(f"images ('{root}')", wanted, f"{len(pictures)}", reasons))
    kept = [one for one in pictures if enlarge or min(one.image.size) >= size]
    if len(kept) < 1 + test:
        raise too_small(root, size, pictures)
    tested = set(held_out([kinds_of(one) for one in kept])) if test else set()
    found = {
        "train": [one for number, one in enumerate(kept) if number not in tested],
        "test": [one for number, one in enumerate(kept) if number in tested],
    }
    notes = [f"{root}: {len(kept)} images used, {len(tested)} of them for testing only{of_kinds(found)}."]
    if small := len(pictures) - len(kept):
        notes.append(f"{small} more are smaller than the crops of {size} x {size} pixels, and left out.")
    if len(paths) > len(chosen):
        notes.append(f"{len(paths) - len(chosen)} more were left aside (max_files={most}).")
    notes += [f"Skipped: {reason}" for reason in skipped.values()]
    return found, tuple(notes)


def of_kinds(found: Mapping[str, Sequence[Annotated]]) -> str:
    """Return which kinds of regions the pictures for the test have, as the end of a sentence, and which they have not.

    Args:
        found: Pictures by use.
    """
    kinds = {use: {kind for one in pictures for kind in kinds_of(one)} for use, pictures in found.items()}
    told = {"with": kinds["test"], "none with": kinds["train"] - kinds["test"]}
    said = [f"{how} {' and '.join(sorted(map(repr, own)))}" for how, own in told.items() if own and found["test"]]
    return f" ({', '.join(said)})" if said else ""


def too_small(root: Path, size: int, pictures: Sequence[Annotated]) -> InputError:
    """Return the sentence for a folder whose images are smaller than the crops."""
    sides = sorted(min(one.image.size) for one in pictures)
    wanted = f"two images of at least {size} x {size} pixels, the size of a crop"
    got = f"{len(pictures)} images, the largest with a shorter side of {sides[-1]}"
    second = sides[-2:][0]
    advice = f"Say data.image_size={second // 32 * 32}." if second >= 32 else "Larger images are needed."
    return InputError(expected(f"data.images ('{root}')", wanted, got, advice))


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
