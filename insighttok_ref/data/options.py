"""The schema of `trainer.options.data`: where images and their regions come from, for training and for the test."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    ValidationInfo,
    field_validator,
    model_validator,
)

from insighttok_ref.schema import Strict
from regionloss.data.images import MOST_PIXELS, Augment
from regionloss.data.words import TextStyle
from regionloss.errors import InputError, UnknownNameError, did_you_mean, expected
from regionloss.regions import RegionFilter

SourceName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Packaged = Literal["text", "face", "photo"]
#: Rules for the regions that are kept, by kind.
FILTERS: Mapping[str, RegionFilter] = {
    "text": RegionFilter(min_side=5.0, min_visible=0.8),
    "face": RegionFilter(min_side=16.0, min_visible=0.6, need_keypoints=True),
}
#: How pictures are framed that are held in memory: those of a folder that is annotated, and of packages.
FRAMED: Mapping[str, Augment] = {
    "annotate": Augment(area=(0.1, 1.0), around=0.7, scale=(1.2, 3.0), jitter=0.2),
    "face": Augment(area=(0.1, 1.0), around=1.0, scale=(1.2, 2.2), jitter=0.2),
    "photo": Augment(area=(0.1, 1.0), jitter=0.2),
}


class SourceOptions(Strict):
    """One source: exactly one of `images`, `render` and `packaged`.

    Args:
        share: Its share of the images in phases that name no `data`, any scale.
        test: Images that are kept for the test and not trained on; 0 trains on all. Of shards nothing can be kept:
            a source of them that has a test has no share.
        images: Tar shards (`data/{00000..00099}.tar`, wildcards, addresses that fsspec opens), or folders of images.
        regions: Folder of the side-cars that `regionloss annotate` has written; without it nobody has looked.
        kinds: Kinds of regions that are used; all that were looked for, if unsaid.
        annotate: Look for regions when the run begins, with the detectors of its terms: for a folder of pictures.
        max_files: Most files of that folder that are used, a seeded choice.
        render: Words drawn with the fonts that packages bring: how they are drawn.
        grounds: Folder of pictures to write on; those that packages bring, if unsaid.
        plain: Share of plain grounds.
        fonts: Folder of font files; those that packages bring, if unsaid.
        words: File of words, or `french`, `japanese` and others of which a package brings a list; English, if unsaid.
        packaged: Images of installed packages: `text`, `face` or `photo`.
        augment: How images are framed, instead of `data.augment`. A folder that is annotated and packaged images have
            a framing of their own if unsaid, which `regionloss show` shows.
    """

    share: NonNegativeFloat = 1.0
    test: NonNegativeInt = 0
    images: str | list[str] | None = None
    regions: str | None = None
    kinds: list[str] | None = None
    annotate: bool = False
    max_files: PositiveInt = 2000
    render: TextStyle | None = None
    grounds: Path | None = None
    plain: Annotated[float, Field(ge=0, le=1)] = 0.25
    fonts: Path | None = None
    words: Path | None = None
    packaged: Packaged | None = None
    augment: Annotated[Augment | None, Field(validate_default=True)] = None

    @field_validator("augment")
    @classmethod
    def _own(cls, augment: Augment | None, others: ValidationInfo) -> Augment | None:
        kind = "annotate" if others.data.get("annotate") else others.data.get("packaged")
        return FRAMED.get(kind or "") if augment is None else augment

    @model_validator(mode="after")
    def _one(self) -> SourceOptions:
        given = [name for name in ("images", "render", "packaged") if getattr(self, name) is not None]
        if len(given) != 1:
            got = " and ".join(given) or "none"
            raise ValueError(expected("source", "one of images, render and packaged", got).removesuffix("."))
        looked_at = {"annotate", "max_files"} if self.annotate else {"regions", "kinds", "annotate"}
        allowed = {
            "images": {*looked_at, "augment"},
            "render": {"grounds", "plain", "fonts", "words"},
            "packaged": {"plain", "augment"} if self.packaged in FRAMED else {"plain"},
        }[given[0]]
        # A resolved recipe says defaults, too.
        said = {name for name in self.model_fields_set if getattr(self, name) != type(self).model_fields[name].default}
        stray = sorted(said - allowed - {given[0], "share", "test"})
        if stray:
            got = f"{', '.join(stray)} beside {given[0]}"
            raise ValueError(expected("source", f"{', '.join(sorted(allowed))}", got).removesuffix("."))
        if self.annotate and not isinstance(self.images, str):
            raise ValueError("expected one folder to annotate, got several. Annotate them with 'regionloss annotate'.")
        if self.all_is_test and self.share:
            raise ValueError(
                f"expected share 0 for shards with a test, got {self.share:g}. "
                "Give the test shards of its own, or a folder with annotate: true, of which a tenth is kept."
            )
        return self

    @property
    def all_is_test(self) -> bool:
        """Whether nothing of it may be trained on."""
        return bool(self.test and self.images is not None and not self.annotate)


class DataOptions(Strict):
    """What is trained and tested on.

    Args:
        image_size: Side of the square images of phases that do not say theirs, pixels.
        sources: Sources by the name that a phase's mix gives them.
        epoch: Samples that are drawn from the sources once, kept in memory and shuffled for each epoch; None draws
            without end, each image of a source once in an epoch of its own.
        stripes: Equal parts of each batch, to which the shards of each source are dealt: a part shows images of its own
            shards alone. With as many as processes, or a multiple, a process reads a share of the shards instead of
            all. Another number gives other batches; any number of processes sees the same ones.
        test_seed: Seed of the test images; runs with other seeds are tested on the same ones.
        augment: How images are framed.
        filters: Rules for the regions that are kept, by kind; limits and random drops too.
        workers: Processes that make batches; 0 makes them in the training process, None takes one a processor, 4 at
            most.
        prefetch: Batches that each worker makes ahead.
        start_workers: How workers are started; `spawn` where a library of the file system does not bear a fork.
        max_pixels: Most pixels of an image that is decoded; decoding takes 4 to 8 bytes for each.
    """

    image_size: PositiveInt = 256
    sources: Mapping[SourceName, SourceOptions]
    epoch: PositiveInt | None = None
    stripes: PositiveInt = 1
    test_seed: int = 2026
    augment: Augment = Augment()
    filters: Mapping[str, RegionFilter] = Field(default=FILTERS)
    workers: NonNegativeInt | None = None
    prefetch: PositiveInt = 2
    start_workers: Literal["fork", "spawn", "forkserver"] | None = None
    max_pixels: PositiveInt = MOST_PIXELS

    @field_validator("sources")
    @classmethod
    def _some(cls, sources: Mapping[str, SourceOptions]) -> Mapping[str, SourceOptions]:
        if not sources:
            raise ValueError("expected one source at least, got none")
        return sources

    @model_validator(mode="after")
    def _endless(self) -> Self:
        if self.stripes > 1 and self.epoch is not None:
            raise ValueError(f"expected stripes 1 where an epoch is kept, got {self.stripes}. Leave one of them out.")
        return self


def check_mix(mix: Mapping[str, float], sources: Collection[str], where: str) -> None:
    """Raise a sentence for a mix of a source that the data do not have, of less than nothing, or of nothing."""
    for name, share in mix.items():
        if name not in sources:
            advice = did_you_mean(name, sources)
            raise UnknownNameError(expected(f"{where}.{name}", "a source of data.sources", f"'{name}'", advice))
        if share < 0:
            raise InputError(expected(f"{where}.{name}", "a share of 0 or more", f"{share:g}"))
    if not any(mix.values()):
        raise InputError(expected(where, "a share above 0", str(dict(mix))))
