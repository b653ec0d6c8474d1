"""Images' regions -> one batch. What is too small, too hidden or unusable is dropped here, and counted."""

from __future__ import annotations

import difflib
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regionloss.errors import InputError, expected
from regionloss.limits import number_of
from regionloss.regions import geometry
from regionloss.regions import quads as shapes
from regionloss.regions.fields import check_values
from regionloss.regions.geometry import Draws
from regionloss.regions.regions import Regions

#: Fields that an image's regions may lack: NaN in a batch where others have them.
UNKNOWN = ("keypoints", "quads", "scores")


@dataclass(frozen=True)
class RegionFilter:
    """Which regions of a kind are worth a crop.

    Args:
        min_side: Shortest side of the visible box, and of the quadrilateral in it, pixels.
        min_visible: Least share of the quadrilateral or box, and of its known keypoints, that lies in the image.
        need_keypoints: Whether every keypoint must be known, and no two of them coincide.
        per_image: Most regions that an image keeps.
        per_batch: Most regions in a batch.
        choose: Regions that stay where there are more than the limit: the `"largest"`, or `"random"` ones.
        drop: Probability with which each region is left out (InsightTok, Table 9).
        pad_to: Counts to which the batch is filled up with regions that weigh zero, for compiled losses.
        min_score: Least score, of regions that have one: how sure the detector was.

    Raises:
        InputError: A share outside [0, 1], a limit below 0, or another choice.
    """

    min_side: float = 4.0
    min_visible: float = 0.5
    need_keypoints: bool = False
    per_image: int | None = None
    per_batch: int | None = None
    choose: str = "largest"
    drop: float = 0.0
    pad_to: tuple[int, ...] | None = None
    min_score: float = 0.0

    def __post_init__(self) -> None:
        for name, high in (("min_side", sys.maxsize), ("min_visible", 1), ("drop", 1), ("min_score", 1)):
            wanted = "a share from 0 to 1" if high == 1 else "pixels, 0 or more"
            number_of(getattr(self, name), f"filter: {name}", wanted, 0, high)
        for name in ("per_image", "per_batch"):
            if (limit := getattr(self, name)) is not None:
                number_of(limit, f"filter: {name}", "0 or more, or none", 0, sys.maxsize, whole=True)
        if self.pad_to is not None and not isinstance(self.pad_to, tuple | list):
            raise InputError(expected("filter: pad_to", "counts such as (4, 8), or none", repr(self.pad_to)[:60]))
        for count in self.pad_to or ():
            number_of(count, "filter: pad_to", "counts of 0 or more", 0, sys.maxsize, whole=True)
        if self.choose not in ("largest", "random"):
            raise InputError(expected("filter: choose", "'largest' or 'random'", repr(self.choose)))


def collate_regions(
    per_image: Sequence[Mapping[str, Regions]],
    filters: Mapping[str, RegionFilter] | None = None,
    generator: Draws = None,
) -> tuple[dict[str, Regions], Counter[str]]:
    """Join the regions of B images into one batch per kind.

    A kind that an image's mapping lacks was not looked for there (`annotated` is False); an empty `Regions` says that
    nothing was found.

    Args:
        per_image: Regions by kind of each image, on the CPU, `image_index` zero throughout.
        filters: Rules for the regions that are kept, by kind; kinds without one keep what is half visible and 4 pixels
            high.
        generator: Source of random choices; one for all, or one for each image: then an image keeps the same in any
            batch.

    Returns:
        Regions by kind, and how many were dropped, by `kind/reason`.

    Raises:
        InputError: Images of different sizes, or the regions of several images in one mapping.
    """
    if not isinstance(per_image, Sequence) or isinstance(per_image, str | bytes):
        raise InputError(expected("collate", "a list, the regions by kind of each image", type(per_image).__name__))
    if filters is not None and not isinstance(filters, Mapping):
        raise InputError(expected("filters", "a RegionFilter by kind, or none", type(filters).__name__))
    for kind, rules in (filters or {}).items():
        if not isinstance(rules, RegionFilter):
            raise InputError(expected(f"filters['{kind}']", "a RegionFilter", type(rules).__name__))
    for regions in per_image:
        if not isinstance(regions, Mapping):
            advice = "For example [{'text': Regions(...)}, {}]."
            raise InputError(expected("collate", "for each image its Regions by kind", type(regions).__name__, advice))
    kinds = sorted({kind for regions in per_image for kind in regions})
    for kind in set(filters or {}) - set(kinds):
        # A kind that no image of this batch carries is no mistake; one that looks like another is.
        if close := difflib.get_close_matches(kind, kinds, n=1, cutoff=0.75):
            advice = f"Did you mean '{close[0]}'?"
            raise InputError(expected("filters", f"kinds of the batch ({', '.join(kinds)})", f"'{kind}'", advice))
    dropped: Counter[str] = Counter()
    batch = {}
    for kind in kinds:
        joined = together([regions.get(kind) for regions in per_image], kind)
        batch[kind] = keep(joined, (filters or {}).get(kind, RegionFilter()), dropped, generator).laid_out()
    return batch, dropped


def join(per_image: Sequence[Regions | None], kind: str, image_size: tuple[int, int]) -> Regions:
    """Return the regions of B images as one batch.

    Args:
        per_image: Regions of each image, on the CPU, as `Regions.single` has them; None where an image was not looked
            at.
        kind: Kind of all the regions.
        image_size: `(H, W)` of the images, pixels.

    Raises:
        InputError: Regions of another kind, of images of another size, or of several images.
    """
    for number, regions in enumerate(per_image):
        if regions is not None:
            check_single(regions, f"join[{number}]", kind, image_size)
    if all(regions is None for regions in per_image):
        annotated = torch.zeros(len(per_image), dtype=torch.bool)
        return Regions.empty(kind, image_size, len(per_image)).changed(annotated=annotated).laid_out()
    joined = together(per_image, kind)
    return (joined.changed(annotated=None) if all(found is not None for found in per_image) else joined).laid_out()


def check_single(regions: Regions, where: str, kind: str, image_size: tuple[int, int]) -> None:
    """Raise InputError for regions that are not of this kind, or not of one image of this size."""
    if regions.kind != kind:
        raise InputError(expected(f"{where}.kind", repr(kind), repr(regions.kind)))
    if tuple(regions.image_size) != tuple(image_size):
        raise InputError(expected(f"{where}.image_size", str(tuple(image_size)), str(tuple(regions.image_size))))
    check_one_image(regions, where)


def check_one_image(regions: Regions, where: str) -> None:
    """Raise InputError for the regions of several images."""
    if regions.num_images not in (None, 1) or bool(regions.image_index.any()):
        got = f"{regions.num_images} images, image_index up to {int(max(regions.image_index.tolist(), default=0))}"
        advice = "Of a batch's regions, regions.of_image(i) are those of one image."
        raise InputError(expected(where, "regions of one image, image_index 0", got, advice))


def together(per_image: Sequence[Regions | None], kind: str) -> Regions:
    """Return the same with values checked, but not laid out yet."""
    found = [(i, regions) for i, regions in enumerate(per_image) if regions is not None]
    for number, regions in found:
        check_one_image(regions, f"collate[{number}]['{kind}']")
    sizes = {tuple(regions.image_size) for _, regions in found}
    if len(sizes) != 1:
        advice = "Crop or resize images and their regions before they are collated."
        raise InputError(expected(f"collate ({kind})", "images of one size", str(sorted(sizes)), advice))
    parts = [regions for _, regions in found]
    annotated = torch.zeros(len(per_image), dtype=torch.bool)
    annotated[[i for i, _ in found]] = True
    counts = [len(regions) for regions in parts]
    joined = Regions.trusted(
        kind=kind,
        boxes=torch.cat([regions.boxes for regions in parts]),
        image_index=torch.cat([torch.full((len(regions),), i, dtype=torch.int64) for i, regions in found]),
        image_size=parts[0].image_size,
        num_images=len(per_image),
        **{name: rows_of([getattr(regions, name) for regions in parts], counts) for name in UNKNOWN},
        valid=None if all(r.valid is None for r in parts) else torch.cat([valid_of(regions) for regions in parts]),
        texts=joined_texts(parts),
        weights=rows_of([regions.weights for regions in parts], counts, missing=1.0),
        annotated=annotated,
    )
    check_values(joined)
    return joined


def rows_of(parts: Sequence[Tensor | None], counts: Sequence[int], missing: float = torch.nan) -> Tensor | None:
    """Return rows of all images; `missing` for those of an image that has none, None where no image has any."""
    example = next((part for part in parts if part is not None), None)
    if example is None:
        return None
    shape = example.shape[1:]
    for part in parts:
        if part is not None and part.shape[1:] != shape:
            raise InputError(expected("collate", f"{shape[0]} keypoints a region, as in others", str(part.shape[1])))
    rows = [example.new_full((n, *shape), missing) if p is None else p for p, n in zip(parts, counts, strict=True)]
    return torch.cat(rows)


def valid_of(regions: Regions) -> Tensor:
    """Return (R,) which regions are valid."""
    return torch.ones(len(regions), dtype=torch.bool) if regions.valid is None else regions.valid


def joined_texts(parts: Sequence[Regions]) -> tuple[str, ...] | None:
    """Return all transcriptions, empty for regions without; None where no image has any."""
    if all(regions.texts is None for regions in parts):
        return None
    return tuple(text for regions in parts for text in (regions.texts or ("",) * len(regions)))


def keep(regions: Regions, rules: RegionFilter, dropped: Counter[str], generator: Draws) -> Regions:
    """Return what the rules keep of a batch; counts the rest."""
    height, width = regions.image_size
    limits = regions.boxes.new_tensor([width, height])
    clipped = torch.cat([regions.boxes[:, :2].clamp(min=0), torch.minimum(regions.boxes[:, 2:], limits)], 1)
    whole, shortest = own_extent(regions)
    visible = torch.minimum(regions.areas / whole, keypoints_inside(regions))
    reasons = {
        "hidden": visible < rules.min_visible,
        "small": torch.minimum((clipped[:, 2:] - clipped[:, :2]).amin(1), shortest) < rules.min_side,
        "keypoints": ~usable_keypoints(regions) if rules.need_keypoints else torch.zeros(len(regions)).bool(),
    }
    if regions.scores is not None:  # one that is not known is not less than anything
        reasons["score"] = regions.scores < rules.min_score
    gone = torch.zeros(len(regions), dtype=torch.bool)
    for reason, mask in reasons.items():
        dropped[f"{regions.kind}/{reason}"] += int((mask & ~gone).sum())
        gone |= mask
    kept = regions.changed(boxes=clipped)
    kept = kept.select(~gone) if gone.any() else kept
    if rules.drop:
        kept = counted(kept, geometry.drop(kept, rules.drop, generator), "drop", dropped)
    if rules.per_image is not None or rules.per_batch is not None:
        few = geometry.limit(kept, rules.per_image, rules.per_batch, rules.choose, generator)
        kept = counted(kept, few, "limit", dropped)
    return kept if rules.pad_to is None else kept.padded(rules.pad_to)


def counted(before: Regions, after: Regions, reason: str, dropped: Counter[str]) -> Regions:
    """Return `after`, having counted what it lacks."""
    dropped[f"{before.kind}/{reason}"] += len(before) - len(after)
    return after


def own_extent(regions: Regions) -> tuple[Tensor, Tensor]:
    """Return (R,) areas and shortest sides of quadrilaterals, or of boxes where there is none, clipped to nothing."""
    size = regions.boxes[:, 2:] - regions.boxes[:, :2]
    if regions.quads is None:
        return size.prod(1), size.amin(1)
    askew = shapes.known(regions.quads)
    areas = torch.where(askew, shapes.areas(regions.quads), size.prod(1))
    return areas, torch.where(askew, shapes.sides(regions.quads).amin(1), size.amin(1))


def keypoints_inside(regions: Regions) -> Tensor:
    """Return (R,) the share of a region's known keypoints that lies in the image; one where none is known.

    Detectors clip their boxes, so that a face cut by the image's border shows only by its keypoints.
    """
    if regions.keypoints is None:
        return torch.ones(len(regions))
    height, width = regions.image_size
    known = regions.keypoints.isfinite().all(2)
    x, y = regions.keypoints.unbind(2)
    inside = known & (x >= 0) & (x <= width) & (y >= 0) & (y <= height)
    return torch.where(known.any(1), inside.sum(1) / known.sum(1).clamp(min=1), 1.0)


def usable_keypoints(regions: Regions) -> Tensor:
    """Return (R,) whether all keypoints are known and no two of a region coincide (half a pixel apart at least)."""
    if regions.keypoints is None:
        return torch.zeros(len(regions), dtype=torch.bool)
    apart = torch.cdist(regions.keypoints.nan_to_num(0.0), regions.keypoints.nan_to_num(0.0))
    apart = apart + torch.eye(apart.shape[1]) * 1e3
    return regions.keypoints.isfinite().flatten(1).all(1) & (apart.flatten(1).amin(1) >= 0.5)
