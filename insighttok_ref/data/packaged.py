"""The quickstart's training mixture and its test images, from what installed packages bring and the user's folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt

from insighttok_ref.data import fonts
from insighttok_ref.data.photos import Photo, photos
from insighttok_ref.data.sources import PictureSource, TextSource, shrunk
from regionloss.data.annotate.pictures import Annotated, Tick, annotate, annotate_files
from regionloss.data.batches.batch import Batch, Mixture, Source
from regionloss.data.batches.random_streams import permutation
from regionloss.data.images.transforms import FlipPairs
from regionloss.data.shards.paths import list_images
from regionloss.data.words.render import TextRenderer, TextStyle
from regionloss.detectors.base import Detector
from regionloss.errors import InputError, expected
from regionloss.regions.collation import RegionFilter

SourceName = Literal["text", "face", "photo", "folder"]
SHARES: dict[SourceName, float] = {"text": 0.7, "face": 0.15, "photo": 0.15}
FILTERS = {
    "text": RegionFilter(min_side=5.0, min_visible=0.8),
    "face": RegionFilter(min_side=16.0, min_visible=0.6, need_keypoints=True),
}
FOLDER_SHARE = 0.5
TEST_WORDS = 0.15
TEST_SHARE_OF_FOLDER = 0.1


class DataOptions(BaseModel):
    """What to train and test on.

    Args:
        images: A folder of the user's own pictures, annotated once by the detectors of the recipe's terms.
        image_size: Side of the square training images, pixels.
        train_images: Samples in an epoch of the mixture (crops and renderings, not files).
        test_images: Test images with words; fonts are shared with training, words and photographs are not.
        test_faces: Test crops of a face photograph that is not trained on.
        test_seed: Seed of the test images; runs with other seeds are tested on the same ones.
        mix: Share of each source: `text`, `face`, `photo`, and `folder` where `images` is given (a half, if unsaid).
        text: How words are drawn.
        filters: Rules for the regions that are kept, by kind.
        max_files: Most files of the folder that are used, a seeded choice.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    images: Path | None = None
    image_size: PositiveInt = 64
    train_images: PositiveInt = 8192
    test_images: PositiveInt = 200
    test_faces: NonNegativeInt = 16
    test_seed: int = 2026
    mix: Mapping[SourceName, float] = SHARES
    text: TextStyle = TextStyle()
    filters: Mapping[str, RegionFilter] = FILTERS
    max_files: PositiveInt = 2000


@dataclass(frozen=True, eq=False)
class QuickstartData:
    """What a run trains and tests on.

    Args:
        train: `train.batch(step, batch_size)` is a pure function of the seed and the step.
        test: Test images by source: `text`, and `face` and `folder` where there are such.
        credits: What the images are made of, with the rights in each part.
        notes: Sentences for the user: files that were skipped, parts that are missing.
    """

    train: Mixture
    test: dict[str, Batch]
    credits: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = field(default=())


def build_data(
    options: DataOptions,
    seed: int,
    detectors: Mapping[str, Detector] | None = None,
    flip_pairs: FlipPairs | None = None,
    sidecar: Path | None = None,
    tick: Tick = lambda done, of: None,
) -> QuickstartData:
    """Prepare what a run trains and tests on; images themselves are made when they are first asked for.

    Args:
        options: Images that are asked for.
        seed: Seed of the training images and their order.
        detectors: Detectors by name; the first of each kind looks at the photographs and at the user's folder.
        flip_pairs: Keypoints that swap in a mirror image, by kind.
        sidecar: Where the regions of the user's folder are kept, for the next time.
        tick: Told how many of the folder's files are done, of how many.

    Raises:
        InputError: The folder is missing or holds no image that can be read.
        PluginError: A package that brings fonts or photographs is not installed.
    """
    found = one_per_kind(detectors or {})
    pairs = dict(flip_pairs or {})
    train, test = packaged(options, seed, found, pairs)
    notes: tuple[str, ...] = ()
    if options.images is not None:
        mine, theirs, notes = folder(options, options.images, seed, found, pairs, sidecar, tick)
        train["folder"], test["folder"] = mine, theirs
    shares = {"folder": FOLDER_SHARE, **options.mix} if options.images is not None else dict(options.mix)
    weights = {train[name]: share for name, share in shares.items() if share > 0 and name in train}
    if not weights:
        raise InputError(expected("data.mix", "a share above 0 of text, face, photo or folder", str(dict(options.mix))))
    counts = {"text": options.test_images, "face": options.test_faces, "folder": options.test_faces}
    batches = {
        name: Batch.of([source.sample(i) for i in range(counts[name])], options.filters)
        for name, source in test.items()
        if counts[name]
    }
    return QuickstartData(Mixture(weights, options.train_images, seed, options.filters), batches, rights(), notes)


def one_per_kind(detectors: Mapping[str, Detector]) -> dict[str, Detector]:
    """Return the first detector of each kind; whole images need none."""
    chosen: dict[str, str] = {}
    for name, detector in detectors.items():
        chosen.setdefault(detector.kind, name)
    chosen.pop("whole_image", None)
    return {name: detectors[name] for name in chosen.values()}


def packaged(
    options: DataOptions, seed: int, detectors: Mapping[str, Detector], flip_pairs: FlipPairs
) -> tuple[dict[str, Source], dict[str, Source]]:
    """Return the sources of training and of testing that installed packages bring."""
    size, faces = options.image_size, [d for d in detectors.values() if d.kind == "face"]
    words = {use: TextRenderer(fonts.fonts(), chosen, options.text) for use, chosen in split_words().items()}
    grounds = {use: [photo.open() for photo in photos(use)] for use in ("train", "test")}
    make_face = partial(PictureSource, "face", size=size, around=1.0, scale=(1.2, 2.2))
    train: dict[str, Source] = {
        "text": TextSource(words["train"], grounds["train"], size, seed),
        "face": make_face(portraits("train face", size, faces), seed=seed, flip_pairs=flip_pairs),
        "photo": PictureSource("photo", plain(photos("train"), size), size, seed, flip_pairs={}),
    }
    test: dict[str, Source] = {"text": TextSource(words["test"], grounds["test"], size, options.test_seed)}
    if faces:
        test["face"] = make_face(portraits("test face", size, faces), seed=options.test_seed)
    return train, test


def portraits(use: str, size: int, detectors: list[Detector]) -> list[Annotated]:
    """Return face photographs with the faces found in them; without a detector they are pictures like others."""
    return [shrunk(annotate(Annotated(photo.name, photo.open(), {}), detectors), 8 * size) for photo in photos(use)]


def plain(chosen: list[Photo], size: int) -> list[Annotated]:
    """Return photographs that no detector looks at."""
    return [shrunk(Annotated(photo.name, photo.open(), {}), 4 * size) for photo in chosen]


def split_words() -> dict[str, list[str]]:
    """Return the words of training and of testing, which have none in common."""
    words = fonts.words()
    order = permutation(0, "words", length=len(words))
    cut = round(TEST_WORDS * len(words))
    return {"test": [words[i] for i in order[:cut]], "train": [words[i] for i in order[cut:]]}


def folder(
    options: DataOptions,
    root: Path,
    seed: int,
    detectors: Mapping[str, Detector],
    flip_pairs: FlipPairs,
    sidecar: Path | None,
    tick: Tick,
) -> tuple[Source, Source, tuple[str, ...]]:
    """Return sources of the user's pictures, a tenth of them (one at least) kept for testing, and notes."""
    paths = list_images(root)
    chosen = [paths[i] for i in permutation(0, "folder", length=len(paths))[: options.max_files]]
    shrink: Callable[[Annotated], Annotated] = partial(shrunk, shortest=4 * options.image_size)
    pictures, skipped = annotate_files(chosen, root, detectors, sidecar, shrink=shrink, tick=tick)
    if len(pictures) < 2:
        reasons = " ".join(skipped.values())
        raise InputError(expected(f"data.images ('{root}')", "two images at least", f"{len(pictures)}", reasons))
    cut = max(1, round(TEST_SHARE_OF_FOLDER * len(pictures)))
    make = partial(PictureSource, "folder", size=options.image_size, around=0.7, scale=(1.2, 3.0))
    train = make(pictures[cut:], seed=seed, flip_pairs=flip_pairs)
    notes = [f"{root}: {len(pictures)} images used, {cut} of them for testing only."]
    if len(paths) > len(chosen):
        notes.append(f"{len(paths) - len(chosen)} more were left aside (data.max_files={options.max_files}).")
    notes += [f"Skipped: {reason}" for reason in skipped.values()]
    return train, make(pictures[:cut], seed=options.test_seed), tuple(notes)


def rights() -> tuple[tuple[str, str], ...]:
    """Return what the images are made of, with the rights in each part."""
    drawn = [(f"{asset.summary} ({asset.package})", asset.licence) for asset in (*fonts.FONTS, fonts.WORDS)]
    uses = ("train", "test", "train face", "test face")
    shown = [(f"photograph '{p.name}' ({p.home[0]}, {p.use})", p.rights) for use in uses for p in photos(use)]
    return tuple(drawn + shown)
