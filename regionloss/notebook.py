"""What one looks at in a notebook: a figure that shows itself, and a table, a list of rows by column."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image
from torch import Tensor

from regionloss.checks import check_images, check_range, range_of
from regionloss.data.images.degrade import DEFAULT, degraded
from regionloss.data.images.files import read_image, to_image, to_tensor
from regionloss.detectors.detect import detect
from regionloss.errors import InputError, expected
from regionloss.losses.terms import LossTerms
from regionloss.pictures.boxes import annotated, sheet
from regionloss.pictures.terms import Seen, colours, fitted, framed, page, see
from regionloss.recipe.build import build_detectors, build_terms, load_choice
from regionloss.regions.regions import Regions
from regionloss.schedules import LAST_STEP
from regionloss.tensors import rescaled

Picture = str | Path | Image.Image | Tensor
Given = Regions | Mapping[str, Regions] | str | Sequence[str] | None
Row = dict[str, Any]

MOST_SIDE = 1600  # pixels at which detectors look, as in annotation


class Look(NamedTuple):
    """A figure and a table; a notebook shows the figure, and `pandas.DataFrame(look.table)` the table.

    Args:
        figure: Picture, as PIL has it: `look.figure.save("seen.png")`.
        table: Rows by column.
    """

    figure: Image.Image
    table: list[Row]

    def _repr_png_(self) -> bytes | None:
        shown: bytes | None = self.figure._repr_png_()
        return shown


def show(
    images: Picture | Sequence[Picture], regions: Given = None, *, value_range: tuple[float, float] = (-1.0, 1.0)
) -> Look:
    """Return images with their regions drawn on them, and a row for each region.

    Args:
        images: Path of an image file, a PIL image, a tensor (B, 3, H, W) or (3, H, W), or several of these.
        regions: Regions of the images, of one kind or by kind; or names of detectors or terms, such as `"text"` or
            `["text", "face"]`, which look for them; none for the images alone.
        value_range: Range of tensors.

    Raises:
        InputError: No images, images of another range or shape, or regions of other images.
        UnknownNameError: No detector and no term has this name.

    Example:
        >>> import torch, regionloss as rl
        >>> boxes = rl.Regions("text", torch.tensor([[2.0, 3, 14, 9]]), torch.tensor([0]), (16, 16), 1)
        >>> (row,) = rl.show(torch.zeros(1, 3, 16, 16), boxes).table
        >>> row["kind"], row["x1"], row["y2"], row["quad"]
        ('text', 2.0, 9.0, None)
    """
    pictures = opened(images, value_range, "show: images")
    drawn, table = [], []
    for number, found in enumerate(regions_of(pictures, regions)):
        picture = pictures[number]
        for kind, one in found.items():
            colour = framed_colour(found, kind)
            picture = annotated(picture, one, colour=colour)
            table += [{"image": number} | row for row in rows_of(one)]
        drawn.append(picture)
    return Look(sheet(drawn), table)


def inspect(
    image: Picture,
    terms: LossTerms | str | Path | Mapping[str, float],
    reconstruction: Picture | None = None,
    regions: Regions | Mapping[str, Regions] | None = None,
    *,
    degrade: str = DEFAULT,
    limit: int = 12,
    value_range: tuple[float, float] = (-1.0, 1.0),
) -> Look:
    """Return what terms see in an image: its regions, both crops of each, and a row for each region and term.

    Args:
        image: Path of an image file, a PIL image, or a tensor (3, H, W) or (1, 3, H, W).
        terms: Terms, or what `load_terms` takes.
        reconstruction: The same image as a model gives it back; a degraded copy without it.
        regions: Regions of the image; without them the detectors of terms that were given by name look for them, at
            1600 pixels a side at most.
        degrade: How the copy is degraded: `"shrink=3,jpeg=30"`, `"blur=2"`.
        limit: Most regions of a term in the figure, the heaviest; the table has all.
        value_range: Range of tensors.

    Raises:
        InputError: Images of another range or shape, or no regions and no detector.
        UnknownNameError: There is no such term.
    """
    (target,) = opened(image, value_range, "inspect: image", most=1)
    copy = degraded(target, degrade)
    if reconstruction is not None:
        (copy,) = opened(reconstruction, value_range, "inspect: reconstruction", most=1)
        if copy.size != target.size:
            sizes = [f"{one.height} x {one.width}" for one in (target, copy)]
            raise InputError(expected("inspect: reconstruction", f"the image's size, {sizes[0]}", sizes[1]))
    if regions is None:
        target, copy = (fitted(one, (MOST_SIDE, MOST_SIDE)) for one in (target, copy))
    built, found = terms_and_regions(terms, target, regions)
    title = "reconstruction" if reconstruction is not None else f"degraded copy ({degrade})"
    figure, seen, _ = drawn_terms(built, target, copy, found, title, limit)
    return Look(figure, seen_rows(seen, found))


def terms_and_regions(
    terms: LossTerms | str | Path | Mapping[str, float],
    target: Image.Image,
    regions: Regions | Mapping[str, Regions] | None,
) -> tuple[LossTerms, dict[str, Regions]]:
    """Return terms, built where they are named, and an image's regions, looked for where there are none."""
    loaded = None if isinstance(terms, LossTerms) else load_choice(terms, "inspect: terms")
    built = terms if isinstance(terms, LossTerms) else build_terms(load_choice(terms, "inspect: terms"))
    if regions is not None:
        return built, regions_of([target], regions)[0]
    shown, detectors = to_tensor([target]), {} if loaded is None else build_detectors(loaded)
    if missing := sorted(set(built.kinds) - set(detectors) - {"whole_image"}):
        wanted = f"those of kind '{missing[0]}'"
        raise InputError(expected("inspect: regions", wanted, "none", "Give them: regions=..."))
    return built, {kind: detector.detect(shown) for kind, detector in detectors.items()}


def drawn_terms(
    terms: LossTerms, target: Image.Image, copy: Image.Image, found: Mapping[str, Regions], title: str, limit: int
) -> tuple[Image.Image, list[Seen], list[str]]:
    """Return a picture of what terms see, every region, and lines about the terms' values.

    Args:
        terms: Terms by name.
        target: Picture of the target, RGB.
        copy: Picture of its reconstruction, of the same size.
        found: Regions of the target by kind.
        title: Title of the reconstruction.
        limit: Most regions of a term in the picture.
    """
    seen, values = see(terms, to_tensor([copy]), to_tensor([target]), found)
    lines = [*nothing_seen(terms, seen), *summary(terms, values)]
    heaviest = [sorted((one for one in seen if one.term == name), key=lambda one: -one.share) for name in terms.terms]
    shown = [row for rows in heaviest for row in rows[:limit]]
    colour = colours(terms)
    return page([(framed(target, found, 0, colour), copy)], shown, lines, colour, title), seen, lines


def nothing_seen(terms: LossTerms, seen: Sequence[Seen]) -> list[str]:
    """Return a sentence for each term that has nothing to look at."""
    some = {row.term for row in seen}
    return [
        f"{name}: no region of kind '{term.kind}' was found, so the term is 0 here."
        for name, term in terms.terms.items()
        if name not in some
    ]


def summary(terms: LossTerms, values: Mapping[str, float]) -> list[str]:
    """Return each term's value with its weight, and the sum."""
    weights = {name: term.weight_at(LAST_STEP) for name, term in terms.terms.items()}
    products = {name: values[name] * weight for name, weight in weights.items()}
    what = {name: "weight, in the end" if callable(term.weight) else "weight" for name, term in terms.terms.items()}
    lines = [
        f"{name} = {values[name]:.4g}, x {weight:g} (the term's {what[name]}) = {products[name]:.4g}"
        for name, weight in weights.items()
    ]
    return lines if len(lines) == 1 else [*lines, f"total = {sum(products.values()):.4g}"]


def rows_of(regions: Regions) -> list[Row]:
    """Return a row for each region of one image; `quad` is the four corners' x and y, none where it is its box."""
    rows = []
    quads: list[Any] = [None] * len(regions) if regions.quads is None else regions.quads.flatten(1).tolist()
    for number, box in enumerate(regions.boxes.tolist()):
        score = None if regions.scores is None else float(regions.scores[number])
        text = "" if regions.texts is None else regions.texts[number]
        sides = dict(zip(("x1", "y1", "x2", "y2"), box, strict=True))
        quad = None if quads[number] is None or not all(map(math.isfinite, quads[number])) else quads[number]
        rows.append({"kind": regions.kind, **sides, "score": score, "quad": quad, "text": text})
    return rows


def seen_rows(seen: Sequence[Seen], found: Mapping[str, Regions]) -> list[Row]:
    """Return a row for each region and term."""
    places = {kind: rows_of(regions) for kind, regions in found.items()}
    rows = []
    for one in seen:
        # A term of whole images makes its own region.
        unknown: Row = {**dict.fromkeys(("x1", "y1", "x2", "y2", "score", "quad")), "text": ""}
        place = places[one.kind][one.number] if one.kind in places else unknown
        sides = {name: place[name] for name in ("x1", "y1", "x2", "y2", "score")}
        crop = f"{one.crop.height} x {one.crop.width}"
        numbers = {"distance": one.distance, "weight": one.weight, "product": one.distance * one.weight}
        row = {"term": one.term, "region": one.number, **sides, "crop": crop, **numbers, "share": one.share}
        rows.append(row | {"quad": place["quad"], "text": place["text"]})
    return rows


def opened(images: Any, value_range: tuple[float, float], where: str, most: int | None = None) -> list[Image.Image]:
    """Return RGB pictures of whatever images came as; `most` of them."""
    if isinstance(images, str | os.PathLike):
        pictures = [read_image(Path(images))]
    elif isinstance(images, Image.Image):
        pictures = [images.convert("RGB")]
    elif isinstance(images, Tensor):
        batch = images[None] if images.ndim == 3 else images
        check_images(batch, where)
        check_range(batch, range_of(value_range), where, "")
        pictures = [to_image(one) for one in rescaled(batch.detach(), value_range)]
    elif isinstance(images, Sequence):
        pictures = [picture for one in images for picture in opened(one, value_range, where)]
    else:
        wanted = "a path, a PIL image, a tensor, or several"
        raise InputError(expected(where, wanted, type(images).__name__))
    if not pictures or (most is not None and len(pictures) > most):
        raise InputError(expected(where, "one image" if most == 1 else "images", str(len(pictures))))
    return pictures


def regions_of(pictures: Sequence[Image.Image], regions: Given) -> list[dict[str, Regions]]:
    """Return regions by kind for each picture, given, or looked for by name."""
    if isinstance(regions, str) or (isinstance(regions, Sequence) and not isinstance(regions, Regions)):
        names = [regions] if isinstance(regions, str) else list(regions)
        found = [[detect(to_tensor([picture]), name) for name in names] for picture in pictures]
        return [{one.kind: one for one in ones} for ones in found]
    by_kind = {} if regions is None else {regions.kind: regions} if isinstance(regions, Regions) else regions
    if not isinstance(by_kind, Mapping) or not all(isinstance(one, Regions) for one in by_kind.values()):
        wanted = "Regions, a mapping of kind to them, or names of detectors"
        raise InputError(expected("regions", wanted, type(regions).__name__))
    for kind, one in by_kind.items():
        if one.num_images not in (None, len(pictures)):
            got = f"regions of {one.num_images}"
            raise InputError(expected(f"regions['{kind}']", f"regions of {len(pictures)} images", got))
        sizes = {(picture.height, picture.width) for picture in pictures} - {tuple(one.image_size)}
        if sizes:
            wanted = f"{one.image_size[0]} x {one.image_size[1]} pixels, as the regions say"
            height, width = sizes.pop()
            raise InputError(expected("images", wanted, f"{height} x {width}"))
    held = {kind: one.to("cpu") for kind, one in by_kind.items()}
    return [{kind: one.of_image(number) for kind, one in held.items()} for number in range(len(pictures))]


def framed_colour(found: Mapping[str, Regions], kind: str) -> str:
    """Return the colour of a kind; none where there is one kind: one box differs from the next then."""
    from regionloss.pictures.boxes import COLOURS

    return COLOURS[sorted(found).index(kind) % len(COLOURS)] if len(found) > 1 else ""
