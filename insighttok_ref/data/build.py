"""Options -> training data: each source checked and opened once, mixed anew for each phase."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from insighttok_ref.data.options import DataOptions, SourceOptions
from insighttok_ref.data.packaged import one_per_kind, plain, portraits
from insighttok_ref.data.photos import photos
from insighttok_ref.data.progress import Counting
from insighttok_ref.data.render_shards import Rendering
from insighttok_ref.data.sources import PictureSource
from regionloss.data.batches.batch import Blend, Source
from regionloss.data.batches.image_source import ImageSource
from regionloss.data.batches.loader import BatchLoader, Share
from regionloss.data.images.augment import Framing
from regionloss.data.images.transforms import FlipPairs
from regionloss.data.shards.shards import ShardSet, find_shards
from regionloss.data.sidecars.lookup import Sidecars, check_found, check_kinds
from regionloss.data.words.render import TextStyle
from regionloss.detectors.base import Detector
from regionloss.errors import InputError, UnknownNameError, did_you_mean, expected
from regionloss.hooks.catalogue import catalogue

MakeSource = Callable[[int], Source]


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Sources by name, and what is mixed of them.

    Args:
        options: Options that the sources were made from.
        sources: Makes a source from a seed, by the source's name.
        notes: Sentences for the user: shards that are damaged, sources that lack regions.
    """

    options: DataOptions
    sources: Mapping[str, MakeSource]
    notes: tuple[str, ...] = ()

    def batches(
        self,
        mix: Mapping[str, float] | None,
        *,
        seed: int,
        batch_size: int,
        micro_batch: int | None = None,
        rank: int = 0,
        size: int = 1,
    ) -> BatchLoader:
        """Return this process's micro-batches of a mixture, by number.

        Args:
            mix: Shares of the sources, any scale; None takes all sources alike.
            seed: Seed of orders, crops and drops.
            batch_size: Images of a step, all processes together.
            micro_batch: Images at once in a process; None takes a process's whole part.
            rank: Number of this process.
            size: Number of processes.

        Raises:
            UnknownNameError: A source that the data do not have.
            InputError: No share above 0, or a batch that cannot be cut so.
        """
        shares = dict.fromkeys(self.sources, 1.0) if mix is None else dict(mix)
        for name, share in shares.items():
            if name not in self.sources:
                advice = did_you_mean(name, self.sources)
                raise UnknownNameError(expected(f"mix.{name}", "a source of data.sources", f"'{name}'", advice))
            if share < 0:
                raise InputError(expected(f"mix.{name}", "a share of 0 or more", f"{share:g}"))
        chosen = {self.sources[name](seed): share for name, share in shares.items() if share > 0}
        if not chosen:
            raise InputError(expected("mix", "a share above 0", str(shares)))
        options = self.options
        return BatchLoader(
            Blend(chosen, seed, options.filters),
            Share(batch_size, micro_batch, rank, size),
            workers=options.workers,
            prefetch=options.prefetch,
            start=options.start_workers,
        )


def build_training_data(
    options: DataOptions,
    *,
    detectors: Mapping[str, Detector] | None = None,
    flip_pairs: FlipPairs | None = None,
) -> TrainingData:
    """Open the sources of a recipe, so that what is missing is said before training begins.

    Args:
        options: Options of the recipe.
        detectors: Detectors by name; the first of each kind looks at the packaged photographs of faces. Sources with
            side-cars need none.
        flip_pairs: Keypoints that swap in a mirror image, by kind; None takes those of the registered kinds.

    Raises:
        InputError: A source that is missing or holds nothing; names its key.
        PluginError: A package that brings fonts or photographs is not installed.
    """
    made: dict[str, MakeSource] = {}
    notes: list[str] = []
    if flip_pairs is None:
        flip_pairs = {kind.name: kind.flip_pairs for kind in catalogue().region_kinds()}
    for name, source in options.sources.items():
        try:
            if source.images is not None:
                made[name], problems = image_source(name, source, options, flip_pairs)
                notes += problems
            elif source.packaged in ("face", "photo"):
                made[name] = packaged_source(name, source, options, detectors or {}, flip_pairs)
            else:
                made[name], lacking = text_source(name, source, options)
                notes += [f"data.sources.{name}: {problem}" for problem in lacking]
        except InputError as error:
            raise InputError(f"data.sources.{name}: {error}") from error
    return TrainingData(options, made, tuple(notes))


def image_source(
    name: str, source: SourceOptions, options: DataOptions, flip_pairs: FlipPairs
) -> tuple[MakeSource, list[str]]:
    """Return a source of shards or folders, and what is wrong with them."""
    shards = ShardSet(find_shards(source.images or ""), Counting(f"{name}: shards whose images are counted"))
    problems, annotations = list(shards.problems), None
    if source.regions is not None:
        problems += check_found(source.regions, [shard.path for shard in shards.shards], shards.heads)
        check_kinds(source.regions, source.kinds or (), [shard.path for shard in shards.shards])
        annotations = Sidecars(source.regions, source.kinds)
    framing = Framing(options.image_size, source.augment or options.augment, flip_pairs)
    make = partial(ImageSource, name, shards, framing, annotations=annotations, max_pixels=options.max_pixels)
    make(0)  # What is wrong is said now.
    return make, problems


def packaged_source(
    name: str, source: SourceOptions, options: DataOptions, detectors: Mapping[str, Detector], flip_pairs: FlipPairs
) -> MakeSource:
    """Return a source of the photographs that packages bring."""
    size = options.image_size
    if source.packaged == "photo":
        return partial(PictureSource, name, plain(photos("train"), size), size, flip_pairs=flip_pairs)
    faces = [found for found in one_per_kind(detectors).values() if found.kind == "face"]
    pictures = portraits("train face", size, faces)
    return partial(PictureSource, name, pictures, size, around=1.0, scale=(1.2, 2.2), flip_pairs=flip_pairs)


def text_source(name: str, source: SourceOptions, options: DataOptions) -> tuple[MakeSource, tuple[str, ...]]:
    """Return a source of drawn words, and what is left out of words and fonts."""
    rendering = Rendering(
        options.image_size,
        source.render or TextStyle(),
        0,
        as_path(source.grounds),
        source.plain,
        as_path(source.fonts),
        as_path(source.words),
    )
    drawn = rendering.source()
    return partial(drawn.seeded, name), drawn.renderer.notes


def as_path(given: str | None) -> Path | None:
    """Return a path, where one is given."""
    return None if given is None else Path(given)
