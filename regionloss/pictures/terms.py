"""What terms see in images: each region's crops, its distance, its weight, and its share of the term."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from regionloss.data.images.files import to_image
from regionloss.losses.region_perceptual import masked
from regionloss.losses.terms import LossTerms, Term
from regionloss.pictures.boxes import COLOURS, annotated
from regionloss.regions.regions import Regions

#: Pixels: longest side of an image on the page, box and least height of a crop, least height of a row, a gap.
SHOWN, CROP, TALL, ROW, GAP = 320, (272, 200), 72, 44, 16
NUMBERS = 250
INK, QUIET = "#1e1e24", "#6e6e78"
AT_A_TIME = 32


class Seen(NamedTuple):
    """A region as a term sees it.

    Args:
        term: Name of the term.
        kind: Kind of the region.
        number: Number of the region among those of its kind, from 0.
        target: Crop of the target that the term compares.
        crop: Crop of the reconstruction that the term compares.
        distance: Between the two, in the term's features.
        weight: Weight of the region by the term's weighting, the share of the image's area as a rule.
        share: Share of the term's value that the region makes, in [0, 1].
    """

    term: str
    kind: str
    number: int
    target: Image.Image
    crop: Image.Image
    distance: float
    weight: float
    share: float


def see(
    terms: LossTerms, reconstruction: Tensor, target: Tensor, regions: Mapping[str, Regions]
) -> tuple[list[Seen], dict[str, float]]:
    """Return every region as every term sees it, and the terms' values before their weights.

    Args:
        terms: Terms by name.
        reconstruction: (B, 3, H, W) in [-1, 1].
        target: Targets of the same shape.
        regions: Regions of the targets by kind.
    """
    seen: list[Seen] = []
    values: dict[str, float] = {}
    for name, term in terms.terms.items():
        found = terms.found(term, regions, target)
        rows = [] if found is None or not len(found) else _regions(name, term, reconstruction, target, found)
        seen += rows
        values[name] = sum(row.distance * row.weight for row in rows) / len(target)
    return seen, values


def _regions(name: str, term: Term, reconstruction: Tensor, target: Tensor, found: Regions) -> list[Seen]:
    loss = term.loss
    loss.check(reconstruction, target, found)
    with torch.no_grad():
        pairs = [loss.extractor(loss.in_range(images), found) for images in (target, reconstruction)]
        labels = loss.labels(found)
        given = pairs if labels is None else [*pairs, labels]
        parts = zip(*(torch.split(one, AT_A_TIME) for one in given), strict=True)
        distances = torch.cat([loss.compare(crops, goals, *rest) for goals, crops, *rest in parts])
        weights = masked(loss.weights(found), found.valid)
    products = distances * weights
    shares = (products / products.sum().clamp_min(torch.finfo(products.dtype).tiny)).tolist()
    goals, crops = ([to_image(crop) for crop in crops] for crops in pairs)
    rows = zip(goals, crops, distances.tolist(), weights.tolist(), shares, strict=True)
    return [Seen(name, found.kind, number, *row) for number, row in enumerate(rows)]


def colours(terms: LossTerms) -> dict[str, str]:
    """Return the colour of each kind of region."""
    return {kind: COLOURS[number % len(COLOURS)] for number, kind in enumerate(terms.kinds)}


def framed(image: Image.Image, regions: Mapping[str, Regions], index: int, colour: Mapping[str, str]) -> Image.Image:
    """Return an image of a batch with its regions, numbered as in `see`."""
    for kind, found in regions.items():
        numbers = (found.image_index == index).nonzero().flatten().tolist()
        mine = found.of_image(index)
        image = annotated(image, mine, [str(number) for number in numbers], colour.get(kind, COLOURS[-1]))
    return image


def page(
    pairs: Sequence[tuple[Image.Image, Image.Image]],
    seen: Sequence[Seen],
    lines: Sequence[str],
    colour: Mapping[str, str],
    title: str = "reconstruction",
) -> Image.Image:
    """Return one picture: images with their regions, beside them the regions' crops with their numbers.

    Args:
        pairs: Each target with its regions (`framed`), and its reconstruction.
        seen: Regions that are shown, a row each.
        lines: Lines of text below the rows.
        colour: Colour of a region's frame, by kind.
        title: Title of the reconstructions' column.
    """
    small = [[fitted(image, (SHOWN, SHOWN)) for image in pair] for pair in pairs]
    rows = [[fitted(crop, CROP, TALL) for crop in (row.target, row.crop)] for row in seen]
    left = 2 * (SHOWN + GAP) + 2 * GAP
    right = left + 2 * (CROP[0] + GAP) + NUMBERS if seen else left
    below = 52 + max(
        sum(max(image.height for image in pair) + GAP for pair in small),
        sum(max(crop.height, ROW) + GAP for crop, _ in rows),
    )
    sheet = Image.new("RGB", (right, below + 22 * len(lines) + GAP), "white")
    draw = ImageDraw.Draw(sheet)
    titles = [(GAP, "target, regions"), (2 * GAP + SHOWN, title)]
    if seen:
        titles += [(left, "crop of the target"), (left + CROP[0] + GAP, "crop of the reconstruction")]
    for x, text in titles:
        draw.text((x, 20), text, font=ImageFont.load_default(15), fill=INK)
    top = 52
    for pair in small:
        for column, image in enumerate(pair):
            sheet.paste(image, (GAP + column * (SHOWN + GAP), top))
        top += max(image.height for image in pair) + GAP
    top = 52
    for row, crops in zip(seen, rows, strict=True):
        for column, crop in enumerate(crops):
            sheet.paste(crop, (left + column * (CROP[0] + GAP), top))
        height = max(crops[0].height, ROW)
        _numbers(draw, (left + 2 * (CROP[0] + GAP), top + height // 2 - 26), row, colour[row.kind])
        top += height + GAP
    for number, line in enumerate(lines):
        draw.text((GAP, below + 22 * number), line, font=ImageFont.load_default(14), fill=INK)
    return sheet


def _numbers(draw: ImageDraw.ImageDraw, corner: tuple[int, int], row: Seen, colour: str) -> None:
    x, y = corner
    draw.text((x, y), f"{row.term} {row.number}", font=ImageFont.load_default(16), fill=colour)
    draw.text((x, y + 20), f"distance {short(row.distance)}", font=ImageFont.load_default(14), fill=INK)
    product = f"x weight {row.weight:.3g} = {short(row.distance * row.weight)} ({row.share:.0%})"
    draw.text((x, y + 38), product, font=ImageFont.load_default(14), fill=QUIET)


def short(value: float) -> str:
    """Return a number in three digits, or more where it is large."""
    return f"{value:.0f}" if 100 <= abs(value) < 1e6 else f"{value:.3g}"


def fitted(image: Image.Image, box: tuple[int, int], least: int = 0) -> Image.Image:
    """Return an image made smaller to fit a box, or larger where it is lower than `least`, its shape kept."""
    fits = min(box[0] / image.width, box[1] / image.height)
    ratio = min(fits, max(1.0, least / image.height))
    size = (max(1, round(image.width * ratio)), max(1, round(image.height * ratio)))
    return image if size == image.size else image.resize(size, Image.Resampling.BICUBIC)
