"""Make blurred words readable again by changing only their pixels, with the text term as the only guide.

A judge that the term never saw (PP-OCRv6) reads the words before and after. Run:

    python examples/reread_a_word.py --out reread_word.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from torch import Tensor

import regionloss as rl
from regionloss.hooks.catalogue import catalogue

WORDS = ("Harbor", "Lantern", "Museum", "Coffee")
SIZE = (176, 256)


def font(points: int, name: str = "DejaVuSans") -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"), points)


def draw_words() -> tuple[Image.Image, rl.Regions]:
    """Return dark words on a soft ground, and the boxes of their ink with 2 pixels around it."""
    height, width = SIZE
    corners = np.array([[[244, 226, 196], [206, 226, 238]], [[226, 240, 208], [240, 208, 216]]], dtype=np.uint8)
    picture = Image.fromarray(corners).resize((width, height), Image.Resampling.BICUBIC)
    draw, boxes = ImageDraw.Draw(picture), []
    for row, word in enumerate(WORDS):
        place, face = (20 + 40 * (row % 3), 8 + row * height // len(WORDS)), font(26)
        draw.text(place, word, font=face, fill=(40, 30 + 15 * row, 90))
        left, top, right, bottom = draw.textbbox(place, word, font=face)
        boxes.append([left - 2, top - 2, right + 2, bottom + 2])
    index = torch.zeros(len(boxes), dtype=torch.int64)
    return picture, rl.Regions("text", torch.tensor(boxes, dtype=torch.float32), index, SIZE, 1, texts=WORDS)


def to_tensor(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.asarray(picture).astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None]


def reread(blurred: Tensor, target: Tensor, regions: rl.Regions, steps: int) -> Tensor:
    """Return the image after `steps` of Adam on its pixels, driven by nothing but the text term."""
    terms = rl.LossTerms.from_names({"text": 0.0025})
    image = blurred.clone().requires_grad_()
    optimizer = torch.optim.Adam([image], lr=0.02)
    for step in range(steps):
        out = terms(image, target, regions)
        optimizer.zero_grad()
        out.total.backward()
        optimizer.step()
        if step % 20 == 0 or step == steps - 1:
            print(f"step {step:3d}  text term {out.by_term['text'].item():.3f}")
    return image.detach().clamp(-1, 1)


def save(images: dict[str, Tensor], out: Path) -> None:
    """Save images side by side, each with a caption."""
    height, width = SIZE
    sheet = Image.new("RGB", (len(images) * (width + 8) + 8, height + 52), "white")
    draw = ImageDraw.Draw(sheet)
    for column, (caption, image) in enumerate(images.items()):
        pixels = ((image[0] + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
        sheet.paste(Image.fromarray(pixels), (8 + column * (width + 8), 44))
        draw.multiline_text((8 + column * (width + 8), 6), caption, font=font(11), fill="black", spacing=4)
    out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(out)


def run(steps: int = 60, blur: float = 8.0) -> tuple[dict[str, Tensor], dict[str, list[str]]]:
    """Return the three images and what the judge reads in each."""
    picture, regions = draw_words()
    target = to_tensor(picture)
    blurred = to_tensor(picture.filter(ImageFilter.GaussianBlur(blur)))
    images = {"blurred": blurred, f"after {steps} steps": reread(blurred, target, regions, steps), "target": target}
    judge = catalogue().build("judge", "text/ppocr-v6")
    return images, {name: [r.text for r in judge.judge(image, regions)] for name, image in images.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("reread_word.png"))
    parser.add_argument("--steps", type=int, default=60)
    options = parser.parse_args()
    images, readings = run(options.steps)
    shown = {}
    for name, image in images.items():
        right = sum(text == word for text, word in zip(readings[name], WORDS, strict=True))
        caption = f"{name}: {right} of {len(WORDS)} read\n{', '.join(text or '-' for text in readings[name])}"
        print(caption.replace("\n", ": "))
        shown[caption] = image
    save(shown, options.out)
    print(f"picture: {options.out}")


if __name__ == "__main__":
    main()
