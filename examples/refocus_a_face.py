"""Bring a blurred face back by changing only its pixels, with the face term as the only guide.

A judge that the term never saw (FaceRes) says how like the original the face is, before and after. Run:

    python examples/refocus_a_face.py --out refocus_face.png

The photographs are in the public domain: Eileen Collins (NASA, ships in scikit-image), Grace Hopper (US Navy, ships in
matplotlib).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import numpy as np
import skimage.data
import torch
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from torch import Tensor

import regionloss as rl
from regionloss.hooks.catalogue import catalogue

SIZE = 200


def photographs() -> list[Image.Image]:
    """Return two portraits of 200 x 200 pixels."""
    collins = Image.fromarray(skimage.data.astronaut()).crop((130, 20, 330, 220))
    hopper = Image.open(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg").convert("RGB")
    return [collins, hopper.crop((60, 40, 460, 440)).resize((SIZE, SIZE), Image.Resampling.LANCZOS)]


def to_tensor(pictures: list[Image.Image]) -> Tensor:
    pixels = np.stack([np.asarray(picture) for picture in pictures]).astype(np.float32)
    return torch.from_numpy(pixels / 127.5 - 1).permute(0, 3, 1, 2)


def refocus(blurred: Tensor, target: Tensor, regions: rl.Regions, steps: int) -> Tensor:
    """Return the images after `steps` of Adam on their pixels, driven by nothing but the face term."""
    terms = rl.LossTerms.from_names({"face": 0.02})
    images = blurred.clone().requires_grad_()
    optimizer = torch.optim.Adam([images], lr=0.02)
    for step in range(steps):
        out = terms(images, target, regions)
        optimizer.zero_grad()
        out.total.backward()
        optimizer.step()
        if step % 20 == 0 or step == steps - 1:
            print(f"step {step:3d}  face term {out.by_term['face'].item():.4f}")
    return images.detach().clamp(-1, 1)


def run(steps: int = 60, blur: float = 5.0) -> tuple[dict[str, Tensor], dict[str, list[float]]]:
    """Return the blurred, changed and original images, and the judge's likeness of each face to the original."""
    pictures = photographs()
    target = to_tensor(pictures)
    regions = rl.detect(target, "face/mtcnn")
    blurred = to_tensor([picture.filter(ImageFilter.GaussianBlur(blur)) for picture in pictures])
    images = {"blurred": blurred, f"after {steps} steps": refocus(blurred, target, regions, steps), "original": target}
    judge = catalogue().build("judge", "face/faceres")
    originals = [one.vector for one in judge.judge(target, regions)]
    found = {name: [one.vector for one in judge.judge(image, regions)] for name, image in images.items()}
    return images, {
        name: [float(a @ b) for a, b in zip(vectors, originals, strict=True)] for name, vectors in found.items()
    }


def save(images: dict[str, Tensor], out: Path) -> None:
    """Save the images, a column a state, each with its caption."""
    file = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    font, rows = ImageFont.truetype(str(file), 11), len(next(iter(images.values())))
    sheet = Image.new("RGB", (len(images) * (SIZE + 8) + 8, rows * (SIZE + 8) + 44), "white")
    draw = ImageDraw.Draw(sheet)
    for column, (caption, batch) in enumerate(images.items()):
        left = 8 + column * (SIZE + 8)
        draw.multiline_text((left, 6), caption, font=font, fill="black", spacing=4)
        for row, image in enumerate(batch):
            pixels = ((image + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
            sheet.paste(Image.fromarray(pixels), (left, 44 + row * (SIZE + 8)))
    out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("refocus_face.png"))
    parser.add_argument("--steps", type=int, default=60)
    options = parser.parse_args()
    images, likeness = run(options.steps)
    shown = {}
    for name, image in images.items():
        caption = f"{name}\nlikeness {', '.join(f'{value:.2f}' for value in likeness[name])}"
        print(caption.replace("\n", ": "))
        shown[caption] = image
    save(shown, options.out)
    print(f"picture: {options.out}")


if __name__ == "__main__":
    main()
