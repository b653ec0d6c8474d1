"""Pictures of what a detector found: boxes, keypoints, scores; several images on one sheet."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from regionloss.data.shards.atomic import write_whole
from regionloss.regions.regions import Regions

COLOURS = ("#ff3b30", "#34c759", "#0a84ff", "#ffcc00", "#bf5af2", "#ff9f0a")
CELL, LINE = 640, 17
#: matplotlib's settings for drawings with names that users chose: `$x^$` is no formula.
PLAIN_TEXT: dict[Any, Any] = {"text.parse_math": False, "text.usetex": False, "axes.formatter.use_mathtext": False}


def save(picture: Image.Image, path: Path) -> None:
    """Write a picture, complete or not at all, in the format that its name says.

    Raises:
        DiskError: The disk is full.
    """
    contents = io.BytesIO()
    picture.save(contents, Image.registered_extensions()[path.suffix.lower()])
    write_whole(str(path), contents.getvalue())


def annotated(
    image: Image.Image, regions: Regions, labels: Sequence[str] | None = None, colour: str = ""
) -> Image.Image:
    """Return a copy of an RGB image with the boxes or quadrilaterals, keypoints and labels of its regions.

    Args:
        image: The image that was looked at.
        regions: Regions of the picture, in its pixels (pixel i covers [i, i + 1)).
        labels: Text at each region; the region's score by default.
        colour: Colour of all boxes; by default one box differs from the next.
    """
    colours = [colour] if colour else COLOURS
    if labels is None and regions.scores is not None:
        labels = [f"{score:.2f}" for score in regions.scores.tolist()]
    picture = image.convert("RGB")
    draw = ImageDraw.Draw(picture)
    unit = max(1, round(max(picture.size) / 500))
    for number, (x1, y1, x2, y2) in enumerate(regions.boxes.tolist()):
        colour = colours[number % len(colours)]
        # PIL draws whole pixels and takes both corners as inside.
        corners = (math.floor(x1), math.floor(y1), math.ceil(x2) - 1, math.ceil(y2) - 1)
        left, top = corners[0], corners[1]
        quad = None if regions.quads is None else regions.quads[number].flatten().tolist()
        if quad is None or not all(map(math.isfinite, quad)):
            draw.rectangle((left, top, max(left, corners[2]), max(top, corners[3])), outline=colour, width=unit)
        else:
            draw.line([v - 0.5 for v in (*quad, *quad[:4])], fill=colour, width=unit, joint="curve")
        if regions.keypoints is not None:
            _points(draw, regions.keypoints[number].tolist(), 2.5 * unit, colour)
        if labels:
            _label(draw, (left, top), labels[number], max(10, 7 * unit), colour)
    return picture


def _points(draw: ImageDraw.ImageDraw, points: Sequence[Sequence[float]], radius: float, colour: str) -> None:
    for x, y in points:
        if math.isfinite(x) and math.isfinite(y):
            around = (x - 0.5 - radius, y - 0.5 - radius, x - 0.5 + radius, y - 0.5 + radius)
            draw.ellipse(around, fill=colour, outline="white", width=max(1, round(radius / 4)))


def _label(draw: ImageDraw.ImageDraw, corner: tuple[int, int], text: str, size: int, colour: str) -> None:
    """Write above the corner, or below it where the image ends."""
    font = ImageFont.load_default(size=size)
    x, y = corner
    y = y - size - 2 if y >= size + 2 else y
    left, top, right, bottom = draw.textbbox((x, y), text, font=font)
    draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), fill=colour)
    draw.text((x, y), text, fill="black", font=font)


def sheet(pictures: Sequence[Image.Image], names: Sequence[str] = ()) -> Image.Image:
    """Return one picture as it is, or several in a grid of cells of at most 640 pixels a side.

    Args:
        pictures: RGB pictures, in order.
        names: Text below each picture of a grid; empty for none.
    """
    if len(pictures) == 1:
        return pictures[0]
    columns = math.ceil(math.sqrt(len(pictures)))
    small = [picture.copy() for picture in pictures]
    for picture in small:
        picture.thumbnail((CELL, CELL))
    width, height = max(p.width for p in small), max(p.height for p in small) + (LINE if names else 0)
    page = Image.new("RGB", (columns * width, math.ceil(len(small) / columns) * height), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(size=LINE - 5)
    for number, picture in enumerate(small):
        x, y = number % columns * width, number // columns * height
        page.paste(picture, (x, y))
        if names:
            draw.text((x + 2, y + picture.height + 1), fitted(names[number], font, width - 4), fill="black", font=font)
    return page


def fitted(name: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """Return a name that is no wider than so many pixels: its end, by which names differ as a rule."""
    short = name
    while short and font.getlength(short if short == name else f"\u2026{short}") > width:
        short = short[1:]
    return short if short == name else f"\u2026{short}"
