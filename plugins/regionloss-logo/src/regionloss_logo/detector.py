"""Finds given logos in pictures, without training: edges that agree, and colours that fit."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from regionloss.checks import check_images
from regionloss.errors import InputError, expected
from regionloss.regions import Regions, join
from regionloss_logo.edges import agreement, directions
from regionloss_logo.marks import read_marks
from regionloss_logo.templates import Template, fit, template_of

COARSE, FINE = 32, 64
STEP = 2**0.25
#: Agreement of edges below which nothing is looked at again.
PROMISING = 0.25
#: Between the sizes tried around a coarse find, and how many finds of each template are looked at again.
NEARBY = 1.05
LOOKS = 16


@dataclass(frozen=True)
class Found:
    """A place where a logo may be: its score, which template, and the box `x1, y1, x2, y2` in pixels."""

    score: float
    number: int
    box: tuple[float, float, float, float]


class TemplateDetector:
    """Finds logos that are given as files, at any size, over any background.

    A pyramid of the picture is searched for places where the directions of edges agree with the logo's; each is looked
    at again, finer, and its score is that agreement times the share of the variance that the logo's colours explain,
    brighter or darker as the whole picture may be.

    Args:
        logos: PNG or WebP files with an alpha channel, SVG files, or folders of them; paths begin at the working
            directory.
        min_score: Score from which a place counts as a logo, in [0, 1].
        sizes: Smallest and largest size to look for: the side of a square of the box's area, pixels.
        rotations: Degrees by which logos may be turned, against the clock; each is another search. One covers about 5
            degrees to either side.
        max_side: Longer pictures are looked at in this size, pixels.
        max_overlap: Boxes that overlap a better one by more than this, of their union, are dropped.

    Raises:
        InputError: An option outside its range, no logos, or a file that is none.
        PluginError: A logo is an SVG, and resvg-py, which draws it, is not installed.
    """

    kind = "logo"

    def __init__(
        self,
        logos: str | Sequence[str] = (),
        min_score: float = 0.45,
        sizes: tuple[int, int] = (20, 512),
        rotations: Sequence[float] = (0.0,),
        max_side: int = 1024,
        max_overlap: float = 0.4,
    ) -> None:
        if not 8 <= sizes[0] <= sizes[1]:
            raise InputError(
                expected("template.sizes", "[smallest, largest], both at least 8 pixels", str(list(sizes)))
            )
        if not (0 < min_score <= 1 and 0 <= max_overlap <= 1):
            got = f"{min_score} and {max_overlap}"
            raise InputError(expected("template.min_score, max_overlap", "numbers in [0, 1]", got))
        if max_side < 32 or not rotations:
            wanted = "at least 32 pixels and one angle"
            raise InputError(expected("template.max_side, rotations", wanted, f"{max_side} and {list(rotations)}"))
        marks = read_marks([logos] if isinstance(logos, str) else logos)
        self.min_score, self.max_overlap, self.max_side = min_score, max_overlap, max_side
        self.sizes = tuple(sizes)
        pairs = [(mark, degrees) for mark in marks for degrees in rotations]
        self.names = [mark.name for mark, _ in pairs]
        self.coarse = [template_of(mark, COARSE, degrees) for mark, degrees in pairs]
        self.fine = [template_of(mark, FINE, degrees) for mark, degrees in pairs]
        digest = hashlib.sha256("".join(mark.sha256 for mark in marks).encode()).hexdigest()[:12]
        settings = f"min_score={min_score:g} sizes={sizes[0]}-{sizes[1]} rotations={list(rotations)}"
        self.version = f"template-1 logos={digest} {settings} max_side={max_side} max_overlap={max_overlap:g}"

    @torch.no_grad()
    def detect(self, images: Tensor) -> Regions:
        """Return the logos of images (B, 3, H, W) in [-1, 1], best first in each image; on the CPU, boxes clipped."""
        check_images(images, "images")
        height, width = images.shape[2:]
        if self.coarse[0].edges.device != images.device:
            self.coarse, self.fine = ([one.to(images.device) for one in ones] for ones in (self.coarse, self.fine))
        found = [self.of_one((image.float()[None] + 1) / 2) for image in images]
        return join([self.regions_of(logos, (height, width)) for logos in found], self.kind, (height, width))

    def regions_of(self, logos: Sequence[Found], image_size: tuple[int, int]) -> Regions:
        """Return the logos of one image as its regions, clipped to it."""
        if not logos:
            return Regions.empty(self.kind, image_size, 1)
        boxes = torch.tensor([logo.box for logo in logos])
        boxes = boxes.clamp(min=0).minimum(boxes.new_tensor([image_size[1], image_size[0]]).repeat(2))
        scores, texts = torch.tensor([logo.score for logo in logos]), tuple(self.names[logo.number] for logo in logos)
        return Regions.single(self.kind, boxes, image_size, scores=scores, texts=texts)

    def of_one(self, image: Tensor) -> list[Found]:
        """Return the logos of an image (1, 3, H, W) in [0, 1], best first."""
        shrink = min(1.0, self.max_side / max(image.shape[2:]))
        seen = resized(image, shrink)
        looked = [self.closer(seen, one) for one in self.candidates(seen)]
        best = sorted((one for one in looked if one.score >= self.min_score), key=lambda one: -one.score)
        kept: list[Found] = []
        for one in best:
            if all(overlap(one.box, other.box) <= self.max_overlap for other in kept):
                kept.append(one)
        x, y = (image.shape[i] / seen.shape[i] for i in (3, 2))
        return [Found(one.score, one.number, scaled(one.box, x, y)) for one in kept]

    def candidates(self, image: Tensor) -> Iterator[Found]:
        """Yield the places of each template where its edges agree best, over all sizes."""
        found: list[Found] = []
        for size in self.searched():
            level = directions(resized(image, COARSE / size))[0]
            for number, template in enumerate(self.coarse):
                found += peaks(
                    level, template, number, image.shape[3] / level.shape[2], image.shape[2] / level.shape[1]
                )
        for number in range(len(self.coarse)):
            ours = sorted((one for one in found if one.number == number), key=lambda one: -one.score)
            yield from ours[:LOOKS]

    def searched(self) -> list[float]:
        """Return the sizes of logos that are searched for, pixels."""
        low, high = self.sizes
        count = math.ceil(math.log(high / low) / math.log(STEP)) + 1
        return [low * STEP**power for power in range(count)]

    def closer(self, image: Tensor, one: Found) -> Found:
        """Return a find with its final score, and its box to about a hundredth of its side."""
        template = self.fine[one.number]
        x1, y1, x2, y2 = one.box
        height, width = image.shape[2:]
        x_spare, y_spare = 0.3 * (x2 - x1) + 2, 0.3 * (y2 - y1) + 2
        left, top = max(0, math.floor(x1 - x_spare)), max(0, math.floor(y1 - y_spare))
        around = image[:, :, top : min(height, math.ceil(y2 + y_spare)), left : min(width, math.ceil(x2 + x_spare))]
        scale = math.sqrt(math.prod(template.sides) / ((x2 - x1) * (y2 - y1)))
        looks = {power: self.at(around, scale * NEARBY**power, one.number) for power in (-2, 0, 2)}
        power = max(looks, key=lambda power: looks[power].score)
        best = looks[power]
        if best.score > self.min_score / 2:
            sides = [self.at(around, scale * NEARBY**near, one.number) for near in (power - 1, power + 1)]
            best = max(best, *sides, key=lambda look: look.score)
        x1, y1, x2, y2 = best.box
        return Found(best.score, one.number, (x1 + left, y1 + top, x2 + left, y2 + top))

    def at(self, around: Tensor, scale: float, number: int) -> Found:
        """Return the best place of a template in a part of an image that is resized by `scale`."""
        template = self.fine[number]
        part = resized(around, scale)
        margin = template.margin
        framed = F.pad(part, (margin,) * 4, mode="replicate")
        rows, columns = template.opacity.shape
        if framed.shape[2] < rows or framed.shape[3] < columns:
            return Found(0.0, number, (0, 0, 1, 1))
        scores = agreement(directions(framed)[0], template.edges[None])[0]
        place = int(scores.argmax())
        y, x = divmod(place, scores.shape[1])
        score = max(0.0, float(scores[y, x])) * fit(framed[0, :, y : y + rows, x : x + columns], template)
        height, width = template.sides
        x_scale, y_scale = (around.shape[i] / part.shape[i] for i in (3, 2))
        return Found(score, number, scaled((x, y, x + width, y + height), x_scale, y_scale))


def peaks(level: Tensor, template: Template, number: int, x_scale: float, y_scale: float) -> list[Found]:
    """Return the best few places of a template in one level of the pyramid."""
    margin, (height, width) = template.margin, template.sides
    framed = F.pad(level, (margin,) * 4)
    rows, columns = template.edges.shape[1:]
    if framed.shape[1] < rows or framed.shape[2] < columns:
        return []
    scores = agreement(framed, template.edges[None])[0]
    highest = F.max_pool2d(scores[None], 9, 1, 4)[0]
    values, places = torch.where(scores == highest, scores, 0).flatten().topk(min(LOOKS, scores.numel()))
    found = []
    for value, place in zip(values.tolist(), places.tolist(), strict=True):
        y, x = divmod(place, scores.shape[1])
        if value > PROMISING:
            found.append(Found(value, number, scaled((x, y, x + width, y + height), x_scale, y_scale)))
    return found


def resized(image: Tensor, scale: float) -> Tensor:
    """Return an image (1, C, H, W) with its sides times `scale`, anti-aliased."""
    sides = [max(1, round(side * scale)) for side in image.shape[2:]]
    return image if sides == list(image.shape[2:]) else F.interpolate(image, sides, mode="bilinear", antialias=True)


def scaled(box: tuple[float, float, float, float], x: float, y: float) -> tuple[float, float, float, float]:
    """Return a box whose corners are multiplied."""
    return box[0] * x, box[1] * y, box[2] * x, box[3] * y


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Return the area that two boxes share, as a part of their union."""
    shared = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = ((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return shared / (sum(areas) - shared)
