"""Which reader serves better as a loss network on Latin words: crnn-english-g2 or PP-OCRv6?

A decoder of too few parameters has to draw words: a grid of a ninth to a sixteenth of their pixels, enlarged. It is
fitted by Adam to an l1 loss alone, and to l1 plus a text term whose gradient in the grid has the norm of l1's at the
start, the same for both networks. A judge that neither term saw (Tesseract) reads the results.

- `read`: share of words read as drawn, case aside;
- `psnr`: of the words, dB;
- `ms`: processor time of a term and its gradient, of one word.

Run: python studies/text_readers/study.py
     python studies/text_readers/study.py --language japanese --reader jpn.traineddata --coarse 3
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

import regionloss as rl
from insighttok_ref.data import fonts
from regionloss.data.words.glyphs import composed
from regionloss.hooks.catalogue import catalogue

SIZE = (48, 176)
WORDS = (
    *("Harbor", "Lantern", "Museum", "Coffee", "Bridge", "Garden", "Signal", "Window"),
    *("Market", "Castle", "Velvet", "Summit", "Meadow", "Island", "Orange", "Winter"),
)
FONTS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSansMono", "STIXGeneral")
TERMS = {"crnn-english-g2": "text/packaged", "ppocr-v6": "text/ppocr-v6"}


def chosen(seed: int, language: str) -> tuple[list[str], list[Path]]:
    """Return 16 words of a language, of another one than English other words for each seed, and fonts for them."""
    if language == fonts.ENGLISH:
        return list(WORDS), [Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf" for name in FONTS]
    known = [word for word in map(composed, fonts.words(language)) if 3 <= len(word) <= 5]
    return list(np.random.default_rng(seed).choice(known, len(WORDS), replace=False)), fonts.fonts(language)


def drawn(seed: int, words: Sequence[str], files: Sequence[Path]) -> tuple[Tensor, rl.Regions]:
    """Return images (16, 3, 48, 176) of a word each, and the boxes of their ink."""
    rng, images, boxes = np.random.default_rng(seed), [], []
    for word in words:
        file = rng.choice(np.array(files, dtype=object))
        face = ImageFont.truetype(str(file), int(rng.integers(26, 34)))
        ground, ink = (tuple(map(int, rng.integers(*span, 3))) for span in ((150, 256), (0, 90)))
        picture = Image.new("RGB", SIZE[::-1], ground)
        draw = ImageDraw.Draw(picture)
        place = (int(rng.integers(4, 20)), int(rng.integers(2, 8)))
        draw.text(place, word, font=face, fill=ink)
        box = draw.textbbox(place, word, font=face)
        boxes.append([box[0] - 2, box[1] - 2, min(box[2] + 2, SIZE[1]), min(box[3] + 2, SIZE[0])])
        images.append(torch.from_numpy(np.asarray(picture).astype(np.float32) / 127.5 - 1).permute(2, 0, 1))
    index = torch.arange(len(words))
    return torch.stack(images), rl.Regions("text", torch.tensor(boxes, dtype=torch.float32), index, SIZE, len(words))


def decoded(grid: Tensor) -> Tensor:
    """Return images of a grid."""
    return F.interpolate(grid, SIZE, mode="bicubic", align_corners=False)


def fitted(target: Tensor, regions: rl.Regions, term: str, share: float, coarse: int, steps: int) -> Tensor:
    """Return what the decoder draws after so many steps with a term, none where its name is empty."""
    grid = F.interpolate(target, (SIZE[0] // coarse, SIZE[1] // coarse), mode="area").requires_grad_()
    terms, weight = rl.LossTerms.from_names({term: 1.0}) if term else None, 0.0
    optimizer = torch.optim.Adam([grid], lr=0.03)
    for _ in range(steps):
        image = decoded(grid)
        pixels = (image - target).abs().mean()
        if terms is not None:
            value = terms(image, target, regions).total
            if not weight:
                ours, theirs = (torch.autograd.grad(v, grid, retain_graph=True)[0].norm() for v in (pixels, value))
                weight = share * float(ours / theirs)
            pixels = pixels + weight * value
        optimizer.zero_grad()
        pixels.backward()
        optimizer.step()
    return decoded(grid).detach().clamp(-1, 1)


def cost(term: str, target: Tensor, regions: rl.Regions) -> float:
    """Return milliseconds of the processor for a word's term and gradient, the best of three."""
    terms, image = rl.LossTerms.from_names({term: 1.0}), (0.9 * target).requires_grad_()
    taken = []
    for _ in range(3):
        start = time.process_time()
        terms(image, target, regions).total.backward()
        taken.append(time.process_time() - start)
    return min(taken) * 1000 / len(WORDS)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--coarse", type=int, default=4, help="pixels of an image to one of the grid, each way")
    parser.add_argument("--language", choices=fonts.LANGUAGES, default=fonts.ENGLISH)
    parser.add_argument("--reader", default="tesseract-eng", help="Tesseract's data of the language, a file")
    given = parser.parse_args()
    judge = catalogue().build("judge", "text/tesseract", {"weights": given.reader})
    costs = {name: cost(term, *drawn(0, *chosen(0, given.language))) for name, term in TERMS.items()}
    print(f"{'term':<18}{'seed':>5}{'read':>8}{'psnr':>8}{'ms':>8}", flush=True)
    for seed in range(given.seeds):
        words, files = chosen(seed, given.language)
        target, regions = drawn(seed, words, files)
        for name, term in {"original": "-", "l1 alone": "", **TERMS}.items():
            image = target if term == "-" else fitted(target, regions, term, given.share, given.coarse, given.steps)
            read = [one.text for one in judge.judge(image, regions)]
            right = sum(a.replace(" ", "").lower() == b.lower() for a, b in zip(read, words, strict=True)) / len(words)
            psnr = float(-10 * ((image - target).square().mean() / 4 + 1e-12).log10())
            print(f"{name:<18}{seed:>5}{right:>8.2f}{psnr:>8.2f}{costs.get(name, 0):>8.1f}", flush=True)


if __name__ == "__main__":
    main()
