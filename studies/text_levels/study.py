"""Which levels of crnn-english-g2 tell a legible reconstruction from an illegible one, and which of them steer?

Drawn words are damaged in two ways that cost the same pixel error: noise that a reader sees through, and a blur that
takes the word away; the judge (PP-OCRv6) says which is which. For each level:

- `energy`: mean squared length of its feature vectors on the undamaged words;
- `legible`, `illegible`: mean squared distance (eq. 4) to the original for words that the judge still reads, and for
  those that it does not;
- `AUC`: how often an illegible version of a word is farther than a legible version of it (0.5 is chance);
- `gradient`: the level's share of the norm of the default loss's gradient in the image, on illegible versions;
- `detail`: share of that gradient's energy above half the crop's Nyquist frequency.

Then the pixels of blurred words (none legible) are optimised with sets of levels, and the judge reads the result:

- `read`: share of words read after so many steps of Adam;
- `error`: root mean squared error of the luma to the original, in [-1, 1] units, relative to that of the blurred word.

Run: python studies/text_levels/study.py
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from regionloss_text.crnn import CrnnEnglishG2
from regionloss_text.judge import PPOcrJudge
from torch import Tensor

from regionloss import Regions

WORDS = (
    *("Harbor", "Lantern", "Museum", "Coffee", "Bridge", "Garden", "Signal"),
    *("Window", "Market", "Castle", "Velvet", "Summit", "Meadow", "Island"),
)
FONTS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSansMono", "STIXGeneral")
ALL_SCALES = (0, 1, 3, 5, 6)
SETS = (
    *((levels, False) for levels in (ALL_SCALES, (0, 1, 3, 5), (0, 1, 2, 4, 5), (0, 1), (3,), (6,))),
    *((levels, True) for levels in (ALL_SCALES, (0, 1, 2, 3, 4))),
)
STOPS = (0, 5, 10, 20, 40)
LEVELS = ("conv 1", "conv 2", "conv 3", "conv 4", "conv 5", "conv 6", "conv 7")


def draw(word: str, rng: np.random.Generator) -> Image.Image:
    """Return a word that fills a picture of 32 x 128 pixels."""
    file = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{rng.choice(FONTS)}.ttf"
    face = ImageFont.truetype(str(file), 40)
    left, top, right, bottom = face.getbbox(word)
    ground, ink = rng.integers(140, 256, 3), rng.integers(0, 100, 3)
    picture = Image.new("RGB", (right - left + 12, bottom - top + 12), tuple(int(v) for v in ground))
    ImageDraw.Draw(picture).text((6 - left, 6 - top), word, font=face, fill=tuple(int(v) for v in ink))
    return picture.resize((128, 32), Image.Resampling.BICUBIC)


def to_tensor(picture: Image.Image) -> Tensor:
    """Return a picture as (3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.asarray(picture).astype(np.float32) / 127.5 - 1).permute(2, 0, 1)


def damaged(picture: Image.Image, rng: np.random.Generator) -> list[Tensor]:
    """Return blurred versions, and for each a noisy one of the same pixel error."""
    original = to_tensor(picture)
    versions = []
    for radius in (4.0, 5.0, 6.0, 7.0, 8.0):
        blurred = to_tensor(picture.filter(ImageFilter.GaussianBlur(radius)))
        error = (blurred - original).square().mean().sqrt()
        coarse = torch.from_numpy(rng.normal(size=(1, 3, 32, 128)).astype(np.float32))
        noise = F.avg_pool2d(coarse, 3, 1, 1)[0] if radius > 6 else coarse[0]
        versions += [blurred, original + noise * error / noise.square().mean().sqrt()]
    return versions


def readable(judge: PPOcrJudge, images: Tensor, words: list[str]) -> Tensor:
    """(N,) whether the judge reads each image (3, 32, 128) as its word."""
    count = len(images)
    boxes = torch.tensor([[0.0, 0.0, 128.0, 32.0]]).repeat(count, 1)
    readings = judge.judge(images, Regions("text", boxes, torch.arange(count), (32, 128), count))
    return torch.tensor([reading.text == word for reading, word in zip(readings, words, strict=True)])


def auc(far: Tensor, near: Tensor, same_word: Tensor) -> float:
    """Share of pairs (illegible, legible) of one word in which the illegible version is farther."""
    return float((far[:, None] > near[None])[same_word].float().mean())


def spectrum_share(gradient: Tensor) -> float:
    """Share of the energy of (N, 3, 32, 128) above half the Nyquist frequency in either direction."""
    energy = torch.fft.fft2(gradient).abs().square().sum((0, 1))
    rows, columns = torch.fft.fftfreq(32).abs()[:, None], torch.fft.fftfreq(128).abs()[None]
    return float(energy[torch.maximum(rows, columns) > 0.25].sum() / energy.sum())


def measure(count: int, seed: int) -> list[tuple[str, float, float, float, float, float, float]]:
    """Return one row per level."""
    rng = np.random.default_rng(seed)
    judge, backbone = PPOcrJudge(), CrnnEnglishG2(out_indices=range(len(LEVELS)))
    words, originals, images = [], [], []
    for number in range(count):
        word = WORDS[number % len(WORDS)]
        picture = draw(word, rng)
        for version in damaged(picture, rng):
            words.append(f"{number} {word}")
            originals.append(to_tensor(picture))
            images.append(version)
    target, image = torch.stack(originals), torch.stack(images)
    legible = readable(judge, image, [word.split()[1] for word in words])
    names = np.array(words)
    same = torch.from_numpy(names[~legible.numpy()][:, None] == names[legible.numpy()][None])
    print(f"{len(image)} damaged words, {int(legible.sum())} of them legible to the judge")
    bad = (~legible).nonzero().flatten()[:64]
    moved = image[bad].clone().requires_grad_()
    rows, gradients = [], []
    with torch.no_grad():
        undamaged = backbone(target)
        energies = [float(level.square().sum(1).mean()) for level in undamaged]
        pairs = zip(backbone(image), undamaged, strict=True)
        distances = [(a - b).square().sum(1).mean((1, 2)) for a, b in pairs]
    for number in range(len(LEVELS)):
        ours, theirs = backbone(moved, target[bad])
        loss = (ours[number] - theirs[number]).square().sum(1).mean((1, 2)).sum()
        gradients.append(torch.autograd.grad(loss, moved)[0])
    total = sum(float(gradients[i].norm()) for i in (0, 1, 3, 5, 6))
    for name, energy, distance, gradient in zip(LEVELS, energies, distances, gradients, strict=True):
        far, near = distance[~legible], distance[legible]
        share = float(gradient.norm()) / total
        means = float(near.mean()), float(far.mean())
        rows.append((name, energy, *means, auc(far, near, same), share, spectrum_share(gradient)))
    error = (image - target).square().mean((1, 2, 3))
    means = float(error[legible].mean()), float(error[~legible].mean())
    rows.append(("pixels", float(target.square().mean()), *means, auc(error[~legible], error[legible], same), 0.0, 0.0))
    return rows


def steer(backbone: CrnnEnglishG2, originals: Tensor, blurred: Tensor, words: list[str]) -> list[tuple[float, float]]:
    """Return the share of words read, and the relative luma error, after each of `STOPS` steps."""
    judge, results = PPOcrJudge(), []
    image = blurred.clone().requires_grad_()
    optimizer = torch.optim.Adam([image], lr=0.02)
    luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    start = ((blurred - originals) * luma).sum(1).square().mean().sqrt()
    for step in range(STOPS[-1] + 1):
        if step in STOPS:
            seen = image.detach().clamp(-1, 1)
            error = ((seen - originals) * luma).sum(1).square().mean().sqrt() / start
            results.append((float(readable(judge, seen, words).float().mean()), float(error)))
        optimizer.zero_grad()
        pairs = zip(*backbone(image, originals), strict=True)
        torch.stack([(a - b).square().sum(1).mean((1, 2)).sum() for a, b in pairs]).mean().backward()
        optimizer.step()
    return results


def steering(count: int, seed: int) -> None:
    """Print what sets of levels make of blurred words."""
    rng = np.random.default_rng(seed)
    words = [WORDS[number % len(WORDS)] for number in range(count)]
    pictures = [draw(word, rng) for word in words]
    originals = torch.stack([to_tensor(picture) for picture in pictures])
    blurred = torch.stack([to_tensor(picture.filter(ImageFilter.GaussianBlur(9))) for picture in pictures])
    stops = " | ".join(f"read, error after {stop}" for stop in STOPS)
    print(f"\n| levels | {stops} |\n|---|{'---|' * len(STOPS)}")
    for levels, balance in SETS:
        results = steer(CrnnEnglishG2(levels, balance), originals, blurred, words)
        cells = (f"{share:.2f}, {error:.2f}" for share, error in results)
        print(f"| {', '.join(map(str, levels))}{', balanced' if balance else ''} | {' | '.join(cells)} |")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=28, help="words")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rows = measure(options.count, options.seed)
    print("| level | energy | legible | illegible | AUC | gradient | detail |\n|---|---|---|---|---|---|---|")
    for name, energy, near, far, area, share, detail in rows:
        print(f"| {name} | {energy:.3g} | {near:.3g} | {far:.3g} | {area:.2f} | {share:.2f} | {detail:.2f} |")
    steering(len(WORDS), options.seed)


if __name__ == "__main__":
    main()
