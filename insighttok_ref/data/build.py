"""Options -> data: each source checked and opened once, mixed anew for each phase; what is kept for the test."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

from insighttok_ref.data.options import DataOptions, SourceOptions, check_mix
from insighttok_ref.data.packaged import annotated_folder, one_per_kind, plain, portraits, rights
from insighttok_ref.data.photos import photos
from insighttok_ref.data.render_shards import Rendering
from insighttok_ref.data.sources import PictureSource
from regionloss.console import Progress
from regionloss.data.batches import (
    Batch,
    BatchLoader,
    Blend,
    ImageSource,
    Mixture,
    Samples,
    Share,
    Source,
    Stripes,
    stream,
)
from regionloss.data.images import FlipPairs, Framing
from regionloss.data.shards import ShardSet, find_shards
from regionloss.data.sidecars import Scan, Sidecars, check_found, check_kinds
from regionloss.data.words import TextStyle
from regionloss.detectors import Detector
from regionloss.errors import InputError, expected
from regionloss.hooks.catalogue import catalogue
from regionloss.runs import over_ranks

#: Processes that make batches, where nobody says how many and there are processors enough.
MOST_WORKERS = 4
#: From the side of its images (pixels) and a seed.
MakeSource = Callable[[int, int], Source]
#: From these, the number of a stripe, and how many stripes there are.
MakeStripe = Callable[[int, int, int, int], Source]


class Opened(NamedTuple):
    """A source that is ready.

    Args:
        train: Makes the source that is trained on.
        test: Makes the source of test images; None where nothing is kept for the test.
        notes: Sentences for the user.
        stripe: Makes a source of a stripe's own shards; None without shards, where the seed tells stripes apart.
    """

    train: MakeSource
    test: MakeSource | None = None
    notes: tuple[str, ...] = ()
    stripe: MakeStripe | None = None


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Sources by name, and what is mixed of them.

    Args:
        options: What they were made from.
        opened: The sources of the options.
        notes: Sentences for the user: shards that are damaged, sources that lack regions.
        test_size: Side of the test images, pixels; None for that of the options.
    """

    options: DataOptions
    opened: Mapping[str, Opened]
    notes: tuple[str, ...] = ()
    test_size: int | None = None
    _kept: dict[object, Samples] = field(default_factory=dict, repr=False)

    @cached_property
    def test(self) -> dict[str, Batch]:
        """The test images by source, none of them trained on; made when they are first asked for."""
        batches: dict[str, Batch] = {}
        for name, opened in self.opened.items():
            count = self.options.sources[name].test
            if count and opened.test is not None:
                source = opened.test(self.test_size or self.options.image_size, self.options.test_seed)
                batches[name] = Batch.of([source.sample(i) for i in range(count)], self.options.filters)
        return batches

    @property
    def credits(self) -> tuple[tuple[str, str], ...]:
        """What the images are made of, with the rights in each part, where packages bring it."""
        brought = any(source.images is None for source in self.options.sources.values())
        return rights({str(source.words) for source in self.options.sources.values()}) if brought else ()

    def batches(
        self,
        mix: Mapping[str, float] | None,
        *,
        seed: int,
        batch_size: int,
        micro_batch: int | None = None,
        rank: int = 0,
        size: int = 1,
        image_size: int | None = None,
    ) -> BatchLoader:
        """Return this process's micro-batches of a mixture, by number.

        Args:
            mix: Shares of the sources, any scale; None takes the sources' own.
            seed: Seed of orders, crops and drops.
            batch_size: Images of a step, all processes together.
            micro_batch: Images at once in a process; None takes a process's whole part.
            rank: Number of this process.
            size: Number of processes.
            image_size: Side of the images, pixels; None for that of the options.

        Raises:
            UnknownNameError: A source that the data do not have.
            InputError: No share above 0, or a batch that cannot be cut so.
        """
        options = self.options
        shares = {name: source.share for name, source in options.sources.items()} if mix is None else dict(mix)
        check_mix(shares, self.opened, "mix")
        return BatchLoader(
            self.order(
                {n: share for n, share in shares.items() if share}, seed, image_size or options.image_size, batch_size
            ),
            Share(batch_size, micro_batch, rank, size),
            workers=min(MOST_WORKERS, processors()) if options.workers is None else options.workers,
            prefetch=options.prefetch,
            start=options.start_workers,
        )

    def order(self, shares: Mapping[str, float], seed: int, image_size: int, batch_size: int) -> Samples:
        """Return the endless order of a mixture; one that keeps its samples is made once."""
        options = self.options
        if (count := options.stripes) > 1:
            return Stripes([self.stripe(shares, seed, image_size, number) for number in range(count)], batch_size)
        chosen = {self.opened[name].train(image_size, seed): share for name, share in shares.items()}
        if options.epoch is None:
            return Blend(chosen, seed, options.filters)
        key = (seed, image_size, tuple(shares.items()))
        return self._kept.setdefault(key, Mixture(chosen, options.epoch, seed, options.filters))

    def stripe(self, shares: Mapping[str, float], seed: int, image_size: int, number: int) -> Blend:
        """Return the order of one of several stripes."""
        options, own = self.options, stream(seed, "stripe", number).getrandbits(62)

        def made(opened: Opened) -> Source:
            if opened.stripe is None:
                return opened.train(image_size, own)
            return opened.stripe(image_size, own, number, options.stripes)

        return Blend({made(self.opened[name]): share for name, share in shares.items()}, own, options.filters)


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def build_training_data(
    options: DataOptions,
    *,
    detectors: Mapping[Scan, Detector] | None = None,
    flip_pairs: FlipPairs | None = None,
    keep: Path | None = None,
    image_sizes: Sequence[int] = (),
) -> TrainingData:
    """Open the sources of a recipe, so that what is missing is said before training begins.

    Args:
        options: Options of the recipe.
        detectors: Detectors by what side-cars say of each; the first of each kind looks at the packaged photographs of
            faces and at folders to annotate. Other sources need none.
        flip_pairs: Keypoints that swap in a mirror image, by kind; None takes those of the registered kinds.
        keep: Folder for the regions of folders that are annotated, for the next time.
        image_sizes: Sides of the images that the phases train on, in order, pixels; none for that of the options. The
            test has those of the last phase: all tokenizers of a run are judged on the same images.

    Raises:
        InputError: A source that is missing or holds nothing; names its key.
        PluginError: A package that brings fonts or photographs is not installed.
    """
    if flip_pairs is None:
        flip_pairs = {kind.name: kind.flip_pairs for kind in catalogue().region_kinds()}
    looking, opened = one_per_kind(detectors or {}), {}
    sizes = [*image_sizes] or [options.image_size]
    most = max(sizes)
    for name, source in options.sources.items():
        try:
            if source.annotate:
                opened[name] = folder_source(name, source, most, looking, flip_pairs, keep)
            elif source.images is not None:
                opened[name] = image_source(name, source, options, flip_pairs)
            elif source.packaged in ("face", "photo"):
                opened[name] = packaged_source(name, source, most, looking, flip_pairs)
            else:
                opened[name] = text_source(name, source, most)
        except InputError as error:
            raise InputError(f"data.sources.{name}: {error}") from error
    notes = tuple(note for one in opened.values() for note in one.notes)
    return TrainingData(options, opened, notes, test_size=sizes[-1])


def image_source(name: str, source: SourceOptions, options: DataOptions, flip_pairs: FlipPairs) -> Opened:
    """Return a source of shards or folders, counted by all ranks together; its notes say what is wrong with them."""
    found = find_shards(source.images or "", cache_of(source.regions))
    if len(found) < options.stripes and not source.all_is_test:
        wanted = f"{options.stripes} shards at least, one for each of data.stripes"
        raise InputError(expected("images", wanted, str(len(found)), "Say fewer stripes, or write more shards."))
    shards = ShardSet(found, Progress(f"{name}: shards whose images are counted"), over_ranks)
    problems, annotations = list(shards.problems), None
    if source.regions is not None:
        problems += over_ranks(partial(check_sidecars, shards), [source])[0]
        annotations = Sidecars(source.regions, source.kinds)

    def make(size: int, seed: int, stripe: int = 0, of: int = 1) -> ImageSource:
        framing, own = Framing(size, source.augment or options.augment, flip_pairs), shards.stripe(stripe, of)
        return ImageSource(name, own, framing, seed, annotations=annotations, max_pixels=options.max_pixels)

    stripes = 1 if source.all_is_test else options.stripes
    for number in range(stripes):
        make(options.image_size, 0, number, stripes)  # What is wrong is said now.
    return Opened(make, make if source.all_is_test else None, tuple(problems), make)


def cache_of(regions: str | None) -> Path | None:
    """Return where indices of shards are kept: beside their side-cars, which all machines of a run see, or at home."""
    return Path(regions) / ".indices" if regions is not None and Path(regions).is_dir() else None


def check_sidecars(shards: ShardSet, sources: Sequence[SourceOptions]) -> list[list[str]]:
    """Return sentences on what is wrong with the side-cars of sources of these shards, for each."""
    paths, told = [shard.path for shard in shards.shards], []
    for source in sources:
        assert source.regions is not None
        told.append(check_found(source.regions, paths, shards.heads))
        check_kinds(source.regions, source.kinds or (), paths)
    return told


def folder_source(
    name: str,
    source: SourceOptions,
    size: int,
    detectors: Mapping[Scan, Detector],
    flip_pairs: FlipPairs,
    keep: Path | None,
) -> Opened:
    """Return a source of a folder's pictures, looked at now; a tenth of them is for the test, where there is one."""
    pictures, notes = annotated_folder(
        Path(str(source.images)),
        size,
        detectors,
        most=source.max_files,
        test=bool(source.test),
        sidecar=keep / f"{name}.regions.parquet" if keep is not None else None,
        tick=Progress(f"{name}: files that are looked at"),
    )
    assert source.augment is not None  # such sources have one of their own
    make = partial(PictureSource, name, augment=source.augment)
    test = partial(make, pictures["test"]) if source.test else None
    return Opened(partial(make, pictures["train"], flip_pairs=flip_pairs), test, notes)


def packaged_source(
    name: str, source: SourceOptions, size: int, detectors: Mapping[Scan, Detector], flip_pairs: FlipPairs
) -> Opened:
    """Return a source of the photographs that packages bring; other ones are kept for the test."""
    assert source.augment is not None  # such sources have one of their own
    make = partial(PictureSource, name, augment=source.augment)
    if source.packaged == "photo":
        test = partial(make, plain(photos("test"), size)) if source.test else None
        return Opened(partial(make, plain(photos("train"), size), flip_pairs=flip_pairs), test)
    faces = [found for found in detectors.values() if found.kind == "face"]
    train = partial(make, portraits("train face", size, faces), flip_pairs=flip_pairs)
    if not source.test:
        return Opened(train)
    if not faces:
        return Opened(train, None, (f"data.sources.{name}.test: left out, since no term looks for faces.",))
    return Opened(train, partial(make, portraits("test face", size, faces)))


def text_source(name: str, source: SourceOptions, size: int) -> Opened:
    """Return a source of drawn words; its notes say what is left out of words and fonts."""
    style = source.render or TextStyle()
    given = {name: getattr(source, name) for name in ("grounds", "plain", "fonts", "words")}
    rendering = Rendering(size, style, **given)
    drawn = rendering.source(use="train" if source.test else "")
    test = partial(rendering.source(use="test").changed, name) if source.test else None
    notes = tuple(f"data.sources.{name}: {note}" for note in drawn.renderer.notes)
    return Opened(partial(drawn.changed, name), test, notes)
