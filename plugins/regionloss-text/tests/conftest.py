"""Words drawn with matplotlib's own fonts (DejaVu), so that no font of the system is needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from regionloss import Regions

FONTS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSansMono")
WORDS = (
    *("Harbor", "Signal", "Window", "Market", "Bridge", "Station", "Garden", "Museum", "Library", "Coffee", "Bakery"),
    *("Castle", "Harvest", "Lantern", "Yellow", "Orange", "Velvet", "Copper", "Silver", "River", "Meadow", "Forest"),
    *("Summit", "Valley", "Island", "Winter", "Summer", "Autumn", "Spring"),
)


@dataclass(frozen=True)
class Scene:
    """An image (3, H, W) in [-1, 1] with its words and their ink boxes (N, 4)."""

    image: Tensor
    boxes: Tensor
    words: tuple[str, ...]

    def regions(self, margin: float = 1.0) -> Regions:
        height, width = self.image.shape[1:]
        grown = self.boxes + torch.tensor([-margin, -margin, margin, margin])
        grown = grown.clamp(min=0).minimum(torch.tensor([width, height, width, height], dtype=torch.float32))
        index = torch.zeros(len(grown), dtype=torch.int64)
        return Regions("text", grown, index, (height, width), 1, texts=self.words)


def draw_scene(
    seed: int, size: tuple[int, int] = (240, 320), count: int = 4, points: tuple[int, int] = (18, 30)
) -> Scene:
    """Draw `count` words, one below the other, in random fonts and colours on a soft ground."""
    rng = np.random.default_rng(seed)
    height, width = size
    corners = rng.integers(120, 256, (2, 2, 3)).astype(np.uint8)
    canvas = Image.fromarray(corners).resize((width, height), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(canvas)
    boxes, words = [], []
    row = height // count
    for line in range(count):
        word = str(rng.choice(WORDS))
        file = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{rng.choice(FONTS)}.ttf"
        font = ImageFont.truetype(str(file), int(rng.integers(*points)))
        left, top, right, bottom = font.getbbox(word)
        x = int(rng.integers(4, max(width - (right - left) - 4, 5))) - left
        y = line * row + int(rng.integers(2, max(row - (bottom - top) - 2, 3))) - top
        draw.text((x, y), word, font=font, fill=tuple(int(v) for v in rng.integers(0, 80, 3)))
        boxes.append([x + left, y + top, x + right, y + bottom])
        words.append(word)
    pixels = np.asarray(canvas).astype(np.float32) + rng.normal(0, 4, (height, width, 3)).astype(np.float32)
    image = torch.from_numpy(pixels).permute(2, 0, 1).clamp(0, 255) / 127.5 - 1
    return Scene(image, torch.tensor(boxes, dtype=torch.float32), tuple(words))


@pytest.fixture(scope="session")
def scenes() -> list[Scene]:
    return [draw_scene(seed) for seed in range(4)]


@pytest.fixture(scope="session")
def small_scenes() -> list[Scene]:
    """Images of 64 pixels with one short word each, as the quickstart has them."""
    return [draw_scene(100 + seed, (64, 64), 2, (11, 15)) for seed in range(4)]
