"""The schema of `trainer.options.data` of the trainer `insighttok`: where images and their regions come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, field_validator, model_validator

from regionloss.data.images.augment import Augment
from regionloss.data.images.files import MOST_PIXELS
from regionloss.data.words.render import TextStyle
from regionloss.errors import expected
from regionloss.regions.collation import RegionFilter

SourceName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Packaged = Literal["text", "face", "photo"]


class Strict(BaseModel):
    """Options that know all their keys and do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceOptions(Strict):
    """One source: exactly one of `images`, `render` and `packaged`.

    Args:
        images: Tar shards (`data/{00000..00099}.tar`, wildcards, addresses that fsspec opens), or folders of images.
        regions: Folder of the side-cars that `regionloss annotate` has written; without it nobody has looked.
        kinds: Kinds of regions that are used; all that were looked for, if unsaid.
        render: Words drawn with the fonts that packages bring: how they are drawn.
        grounds: Folder of pictures to write on; those that packages bring, if unsaid.
        plain: Share of plain grounds.
        fonts: Folder of font files; those that packages bring, if unsaid.
        words: File of words; a list that a package brings, if unsaid.
        packaged: Images of installed packages: `text`, `face` or `photo`.
        augment: How images are framed, instead of `data.augment`.
    """

    images: str | list[str] | None = None
    regions: str | None = None
    kinds: list[str] | None = None
    render: TextStyle | None = None
    grounds: str | None = None
    plain: Annotated[float, Field(ge=0, le=1)] = 0.25
    fonts: str | None = None
    words: str | None = None
    packaged: Packaged | None = None
    augment: Augment | None = None

    @model_validator(mode="after")
    def _one(self) -> SourceOptions:
        given = [name for name in ("images", "render", "packaged") if getattr(self, name) is not None]
        if len(given) != 1:
            got = " and ".join(given) or "none"
            raise ValueError(expected("source", "one of images, render and packaged", got).removesuffix("."))
        allowed = {
            "images": {"regions", "kinds", "augment"},
            "render": {"grounds", "plain", "fonts", "words"},
            "packaged": {"plain"},
        }[given[0]]
        # A resolved recipe says defaults, too.
        said = {name for name in self.model_fields_set if getattr(self, name) != type(self).model_fields[name].default}
        stray = sorted(said - allowed - {given[0]})
        if stray:
            got = f"{', '.join(stray)} beside {given[0]}"
            raise ValueError(expected("source", f"{', '.join(sorted(allowed))}", got).removesuffix("."))
        return self


class DataOptions(Strict):
    """What the trainer `insighttok` trains on.

    Args:
        image_size: Side of the square training images, pixels.
        sources: Sources by the name that a phase's mix gives them.
        augment: How images are framed.
        filters: Rules for the regions that are kept, by kind; limits and random drops too.
        workers: Processes that make batches; 0 makes them in the training process.
        prefetch: Batches that each worker makes ahead.
        start_workers: How workers are started; `spawn` where a library of the file system does not bear a fork.
        max_pixels: Most pixels of an image that is decoded; decoding takes 4 to 8 bytes for each.
    """

    image_size: PositiveInt = 256
    sources: Mapping[SourceName, SourceOptions]
    augment: Augment = Augment()
    filters: Mapping[str, RegionFilter] = Field(
        default={
            "text": RegionFilter(min_side=5.0, min_visible=0.8),
            "face": RegionFilter(min_side=16.0, min_visible=0.6, need_keypoints=True),
        }
    )
    workers: NonNegativeInt = 4
    prefetch: PositiveInt = 2
    start_workers: Literal["fork", "spawn", "forkserver"] | None = None
    max_pixels: PositiveInt = MOST_PIXELS

    @field_validator("sources")
    @classmethod
    def _some(cls, sources: Mapping[str, SourceOptions]) -> Mapping[str, SourceOptions]:
        if not sources:
            raise ValueError("expected one source at least, got none")
        return sources
