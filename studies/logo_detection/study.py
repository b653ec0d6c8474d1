"""How many pasted logos are found: five drawn ones on scikit-image's photographs.

Run: python studies/logo_detection/study.py
"""

from __future__ import annotations

import argparse
import io
import math
import random
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import skimage.data
import torch
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

PHOTOS = ("astronaut", "chelsea", "coffee", "rocket", "brick", "grass", "gravel", "camera")
SIDE = 1024
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Scene:
    """A photograph with a logo on it, and where."""

    image: Image.Image
    name: str
    box: Box


def drawn() -> dict[str, Image.Image]:
    """Return five logos of our own, cut to what can be seen, 256 pixels."""
    shapes: dict[str, Callable[[ImageDraw.ImageDraw], None]] = {
        "play": play, "triangle": triangle, "word": word, "arcs": arcs, "bars": bars,
    }  # fmt: skip
    logos = {}
    for name, shape in shapes.items():
        canvas = Image.new("RGBA", (SIDE, SIDE), (0, 0, 0, 0))
        shape(ImageDraw.Draw(canvas))
        small = canvas.resize((SIDE // 4, SIDE // 4), Image.Resampling.LANCZOS)
        logos[name] = small.crop(small.getchannel("A").getbbox())
    return logos


def play(draw: ImageDraw.ImageDraw) -> None:
    """A red disc with a white triangle."""
    draw.ellipse((50, 50, 970, 970), fill=(220, 30, 40))
    draw.polygon([(360, 260), (360, 770), (800, 512)], fill="white")


def triangle(draw: ImageDraw.ImageDraw) -> None:
    """A blue triangle with a hole."""
    draw.polygon([(512, 20), (1000, 920), (20, 920)], fill=(20, 90, 200))
    draw.polygon([(512, 410), (740, 800), (290, 800)], fill=(0, 0, 0, 0))


def word(draw: ImageDraw.ImageDraw) -> None:
    """A yellow word."""
    face = font_manager.findfont("DejaVu Sans:bold")
    draw.text((20, 300), "Acme", font=ImageFont.truetype(face, 340), fill=(250, 180, 0))


def arcs(draw: ImageDraw.ImageDraw) -> None:
    """Three green arcs."""
    for k in range(3):
        inset = 100 + 133 * k
        draw.arc((inset, inset, SIDE - inset, SIDE - inset), 200 - 40 * k, 500 - 60 * k, fill=(30, 160, 80), width=73)


def bars(draw: ImageDraw.ImageDraw) -> None:
    """Three coloured bars on a violet tile."""
    draw.rounded_rectangle((50, 50, 970, 970), 200, fill=(80, 40, 140))
    for left, top, colour in ((200, 560, (255, 220, 60)), (430, 360, (255, 120, 60)), (660, 200, (90, 220, 255))):
        draw.rectangle((left, top, left + 150, 820), fill=colour)


def photograph(name: str, longest: int = 512) -> Image.Image:
    """Return one of scikit-image's photographs."""
    image = Image.fromarray(getattr(skimage.data, name)()).convert("RGB")
    image.thumbnail((longest, longest))
    return image


def pasted(
    photo: Image.Image, name: str, logo: Image.Image, side: int, rng: random.Random, degrees: float = 0.0
) -> Scene:
    """Return a photograph with a logo of so many pixels (its longer side) anywhere on it."""
    scale = side / max(logo.size)
    small = logo.resize([max(1, round(n * scale)) for n in logo.size], Image.Resampling.LANCZOS)
    small = small.rotate(degrees, Image.Resampling.BICUBIC, expand=True)
    small = small.crop(small.getchannel("A").point(lambda v: 255 * (v > 40)).getbbox())
    x, y = (rng.randrange(0, outer - inner + 1) for outer, inner in zip(photo.size, small.size, strict=True))
    image = photo.copy()
    image.paste(small, (x, y), small)
    return Scene(image, name, (x, y, x + small.width, y + small.height))


def worn(image: Image.Image, brightness: float = 1.0, quality: int = 0) -> Image.Image:
    """Return an image darker or brighter, and through JPEG where a quality is given."""
    image = image.point(lambda value: min(255, round(value * brightness)))
    if quality:
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=quality)
        image = Image.open(stream).convert("RGB")
    return image


def scenes(count: int, low: float, high: float, seed: int = 0, degrees: float = 0.0) -> Iterator[Scene]:
    """Yield photographs with one logo each, at 0.3 to 3 times 100 pixels or whatever is asked."""
    rng, logos = random.Random(seed), drawn()
    for number in range(count):
        name = sorted(logos)[number % len(logos)]
        photo = photograph(rng.choice(PHOTOS))
        side = min(round(math.exp(rng.uniform(math.log(low), math.log(high)))), min(photo.size) - 40)
        yield pasted(photo, name, logos[name], side, rng, rng.choice((-1, 1)) * degrees)


def tensor(image: Image.Image) -> torch.Tensor:
    """Return an image as (1, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 127.5 - 1


def overlap(a: Box, b: Box) -> float:
    """Return intersection over union."""
    shared = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    first, second = ((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return shared / (first + second - shared)


def measure(label: str, count: int, degrees: float = 0.0, rotations: tuple[float, ...] = (0.0,), **wear: float) -> None:
    """Print how many logos were found, how many other things, and how well boxes fit."""
    from regionloss_logo.detector import TemplateDetector

    with tempfile.TemporaryDirectory() as folder:
        for name, logo in drawn().items():
            logo.save(Path(folder) / f"{name}.png")
        detector = TemplateDetector([folder], rotations=rotations)
    found, false, fits = 0, 0, []
    for scene in scenes(count, 30, 300, seed=1, degrees=degrees):
        regions = detector.detect(tensor(worn(scene.image, **wear)))
        right = [
            overlap(tuple(box), scene.box)
            for box, text in zip(regions.boxes.tolist(), regions.texts or (), strict=True)
            if text == scene.name and overlap(tuple(box), scene.box) > 0.5
        ]
        found, false = found + bool(right), false + len(regions) - len(right)
        fits += right
    mean = sum(fits) / max(len(fits), 1)
    print(f"| {label} | {found} of {count} | {false} | {mean:.2f} | {min(fits, default=0):.2f} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=40)
    count = parser.parse_args().count
    print("| pasted | found | false, five logos looked for | IoU | worst |\n|---|---|---|---|---|")
    measure("as drawn", count)
    measure("JPEG 50", count, quality=50)
    measure("darker, x 0.6", count, brightness=0.6)
    measure("brighter, x 1.4", count, brightness=1.4)
    measure("turned by 6 degrees", count, degrees=6)
    measure("turned by 15 degrees, rotations -15, 0, 15", count, degrees=15, rotations=(-15.0, 0.0, 15.0))
